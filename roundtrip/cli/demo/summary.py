"""What the demo did, month by month, from the receipts of the runs: `summary.json`, and what the table, chart and report show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from roundtrip.cli.demo.airflow_api import DagRun, TaskInstance
from roundtrip.cli.demo.traffic import Counts
from roundtrip.contracts.receipts import Figure, Receipt
from roundtrip.contracts.report_addresses import browser_address


@dataclass(frozen=True, kw_only=True)
class Month:
    """A replayed month: what the live model did on it, and what came of that. Errors in minutes, skills as fractions."""

    partition: str
    model_version: str
    rows: int
    """Rows of the features table."""
    outcomes: int
    """Rows with an outcome."""
    mae: float | None
    baseline_mae: float | None
    skill: float | None
    skill_low: float | None
    skill_high: float | None
    loss: float | None
    """Skill lost since the release of that model."""
    verdict: str
    action: str
    """retrain or hold."""
    reasons: list[str]
    inputs_drifted: list[str]
    links: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Release:
    """A model version that was promoted, and how it did on its held-out days. `partition` asked for it; empty for the first."""

    version: str
    partition: str
    partitions: str
    rows: int
    mae: float
    baseline_mae: float
    skill: float
    champion_mae: float | None
    yardstick_mae: float | None
    """Of boosted trees on the same rows."""
    engine: str
    generation: int
    seconds: float
    links: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class TaskSeconds:
    task: str
    state: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RunSeconds:
    """How long a DAG run took, task by task."""

    dag: str
    run: str
    partition: str
    state: str
    seconds: float
    tasks: list[TaskSeconds]


@dataclass(frozen=True, kw_only=True)
class Requests:
    sent: int
    failed: int
    first_failure: str
    answers: dict[str, int]
    """Model version → answers it gave."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All that the demo's last page shows."""

    use_case: str
    title: str
    trained_on: list[str]
    """Months of the first training."""
    months: list[Month]
    releases: list[Release]
    requests: Requests
    table_versions: dict[str, int]
    """Table → its newest Delta version that a job wrote."""
    runs: list[RunSeconds]
    seconds: float
    """Seconds in which any run of the loop was under way; pauses between two calls of the demo don't count."""
    links: dict[str, str]
    """Title → address."""


def month_of(receipts: Iterable[Receipt], partition: str) -> Month | None:
    """The month that a watch_drift run's receipts tell about; None while it has not measured anything."""
    found = {receipt.job: receipt for receipt in receipts}
    measured, decided = found.get("measure_drift"), found.get("decide_retrain")
    if measured is None or measured.answer != "done":
        return None
    figures = measured.figures
    performance = _mapping(figures.get("performance"))
    return Month(
        partition=partition,
        model_version=str(figures["model_version"]),
        rows=int(_number(figures["rows"]) or 0),
        outcomes=int(_number(figures["outcomes"]) or 0),
        **{name: _number(performance.get(name)) for name in ("mae", "baseline_mae", "skill", "skill_low", "skill_high", "loss")},
        verdict=str(figures["verdict"]),
        action=str(decided.figures.get("action", "")) if decided else "",
        reasons=_texts(decided.figures.get("reasons")) if decided else [],
        inputs_drifted=_texts(figures.get("inputs_drifted")),
        links=_opened(measured.links.items()),
    )


def release_of(receipts: Sequence[Receipt], run: DagRun) -> Release | None:
    """The release that a train_and_release run's receipts tell about; None when it promoted nothing."""
    found = {receipt.job: receipt for receipt in receipts if receipt.answer == "done"}
    if "promote_release" not in found:
        return None
    snapshot, evaluated, promoted = (found[job].figures for job in ("snapshot_dataset", "evaluate_model", "promote_release"))
    candidate, champion, yardstick = (_mapping(evaluated.get(side)) for side in ("candidate", "champion", "yardstick"))
    return Release(
        version=str(promoted["version"]),
        partition=run.partition_key or "",
        partitions=_span(_texts(snapshot.get("partitions"))),
        rows=int(_number(snapshot.get("rows")) or 0),
        mae=_number(candidate["mae"]) or 0.0,
        baseline_mae=_number(evaluated["baseline_mae"]) or 0.0,
        skill=_number(candidate["skill"]) or 0.0,
        champion_mae=_number(champion.get("mae")),
        yardstick_mae=_number(yardstick.get("mae")),
        engine=str(found["compile_model"].figures.get("engine", "")) if "compile_model" in found else "",
        generation=int(_number(promoted.get("generation")) or 0),
        seconds=round(run.seconds(run.end_date or run.run_after), 1),
        links=_opened(link for receipt in receipts for link in receipt.links.items()),
    )


def table_versions(receipts: Iterable[Receipt]) -> dict[str, int]:
    """The newest version that a job wrote of each table, by name."""
    newest: dict[str, int] = {}
    for receipt in receipts:
        for written in receipt.outputs:
            newest[written.table] = max(written.version, newest.get(written.table, -1))
    return dict(sorted(newest.items()))


def run_seconds(run: DagRun, tasks: Sequence[TaskInstance], now: datetime) -> RunSeconds:
    return RunSeconds(
        dag=run.dag_id,
        run=run.dag_run_id,
        partition=run.partition_key or "",
        state=run.state,
        seconds=round(run.seconds(now), 1),
        tasks=[TaskSeconds(task=task.name, state=task.state or "", seconds=round(task.seconds(now), 1)) for task in tasks],
    )


def requests_of(counts: Counts) -> Requests:
    answers = dict(sorted(counts.answers.items()))
    return Requests(sent=counts.sent, failed=counts.failed, first_failure=counts.first_failure, answers=answers)


def busy_seconds(runs: Iterable[DagRun]) -> float:
    """Seconds in which at least one of these runs was under way, from those that ended."""
    busy, until = 0.0, datetime.min.replace(tzinfo=UTC)
    for start, end in sorted((run.start_date, run.end_date) for run in runs if run.start_date and run.end_date):
        busy += max(0.0, (end - max(start, until)).total_seconds())
        until = max(until, end)
    return round(busy, 1)


def summary_json(summary: Summary) -> bytes:
    return msgspec.json.format(msgspec.json.encode(summary), indent=2)


def _opened(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Links as a browser opens them."""
    return {title: browser_address(address) for title, address in links}


def _number(figure: Figure) -> float | None:
    return float(figure) if isinstance(figure, int | float) else None


def _texts(figure: Figure) -> list[str]:
    return [str(entry) for entry in figure] if isinstance(figure, list) else []


def _mapping(figure: Figure) -> Mapping[str, Figure]:
    return figure if isinstance(figure, dict) else {}


def _span(months: Sequence[str]) -> str:
    return f"{months[0]}..{months[-1]}" if len(months) > 1 else "".join(months)
