"""What Prometheus reads of the loop: what serves, how the newest month went, how fresh the tables are. The rules: docker/monitoring/.

Made of the pages' own objects at each scrape: a series that nobody can look up on a page does not exist, and none is left over from a
use case, input or table that is gone. Errors have no unit in their names: it is the label's, and differs by use case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from roundtrip.monitoring.overview import UseCaseOverview

VERDICTS = ("stable", "watch", "decayed", "unknown")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(overviews: Iterable[UseCaseOverview]) -> bytes:
    """All series in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Loop(list(overviews)))
    return generate_latest(registry)


class _Loop(Collector):
    def __init__(self, overviews: list[UseCaseOverview]) -> None:
        self._overviews = overviews

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._serving()
        yield from self._newest_month()
        yield from self._inputs()
        yield from self._tables()

    def _serving(self) -> Iterator[GaugeMetricFamily]:
        live = _gauge("live_version", "Number of the version that serves, 0 for none")
        candidate = _gauge("candidate", "1 for the candidate beside the live version, at its stage", "version", "stage")
        unknown = _gauge("unknown_parts", "Parts of the use case's page that could not be read at this scrape")
        for overview in self._overviews:
            name, release = overview.use_case.name, overview.release
            unknown.add_metric([name], len(overview.unknown))
            if release is not None:
                live.add_metric([name], int(release.live.version) if release.live else 0)
                if release.candidate is not None:
                    candidate.add_metric([name, release.candidate.version, release.stage], 1)
        yield from (live, candidate, unknown)

    def _newest_month(self) -> Iterator[GaugeMetricFamily]:
        told = {
            "mae": "Mean absolute error of the live model on the newest month",
            "baseline_mae": "The baseline's, on the same rows",
            "skill": "1 - MAE / MAE of the baseline, on the newest month",
            "skill_low": "Lower end of its 95 % interval",
            "skill_at_release": "Skill of that version when it was released",
        }
        figures = {name: _gauge(f"month_{name}", text) for name, text in told.items()}
        refit = _gauge("month_refit_gain", "Fraction of the MAE that a refit would save")
        verdict = _gauge("verdict", "1 for the newest month's verdict, 0 for the others", "verdict")
        outcomes = _gauge("month_outcomes", "Rows of the newest month with an outcome")
        decided = _gauge("decided_timestamp_seconds", "When the governor last decided")
        for overview in self._overviews:
            name, month = overview.use_case.name, overview.newest
            if month is None:
                continue
            outcomes.add_metric([name], month.outcomes)
            decided.add_metric([name], month.decided_at.timestamp())
            for word in VERDICTS:
                verdict.add_metric([name, word], month.verdict == word)
            if month.refit is not None:
                refit.add_metric([name], month.refit.gain)
            for figure, gauge in figures.items():
                value = getattr(month.performance, figure, None)
                if value is not None:
                    gauge.add_metric([name], value)
        yield from (*figures.values(), refit, verdict, outcomes, decided)

    def _inputs(self) -> Iterator[GaugeMetricFamily]:
        effect = _gauge("input_drift_effect", "Effect size (PSI) of an input's drift on the newest month", "input")
        drifted = _gauge("input_drifted", "1 where that counts as drift", "input")
        skewed = _gauge("input_skewed_rows", "Rows of the newest month whose logged value of an input is not the table's", "input")
        for overview in self._overviews:
            for name, found in (overview.newest.inputs if overview.newest else {}).items():
                drifted.add_metric([overview.use_case.name, name], found.drifted)
                if found.effect is not None:
                    effect.add_metric([overview.use_case.name, name], found.effect)
            skew = overview.newest.skew if overview.newest else None
            for name, rows in skew.features.items() if skew else ():
                skewed.add_metric([overview.use_case.name, name], rows)
        yield from (effect, drifted, skewed)

    def _tables(self) -> Iterator[GaugeMetricFamily]:
        age = _gauge("table_age_seconds", "Since the newest month of the table ended", "table")
        limit = _gauge("table_age_limit_seconds", "What the table's contract allows that to be", "table")
        waiting = _gauge("quarantine_rows", "Rows of the table that wait in quarantine, of its newest twelve months", "table")
        for overview in self._overviews:
            for table in overview.tables:
                labels = [overview.use_case.name, table.table]
                limit.add_metric(labels, table.limit.total_seconds())
                waiting.add_metric(labels, sum(table.waiting.values()))
                if table.age is not None:
                    age.add_metric(labels, table.age.total_seconds())
        yield from (age, limit, waiting)


def _gauge(name: str, told: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"roundtrip_{name}", told, labels=["use_case", *labels])
