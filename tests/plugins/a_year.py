"""A year of flight_eta as the loop would leave it: decisions and receipts through the project's own writers, and its releases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from roundtrip.contracts.receipts import Figure, Receipt, RunFolder
from roundtrip.contracts.use_cases import UseCase
from roundtrip.monitoring.decisions import DecisionRecord, write_decision
from roundtrip.monitoring.governor import Decision, Measurement
from roundtrip.monitoring.months import newest_months
from roundtrip.monitoring.overview import UseCaseOverview
from roundtrip.monitoring.table_states import table_states
from roundtrip.monitoring.verdict import Verdict
from roundtrip.serving.release import HistoryEntry, Release, ReleasedVersion
from use_cases import use_case_named

FLIGHT_ETA = use_case_named("flight_eta")
BEGIN = datetime(2026, 11, 28, 12, tzinfo=UTC)
FROZEN = {
    "2013-04": 11.19, "2013-05": 10.96, "2013-06": 12.94, "2013-07": 12.95, "2013-08": 10.66, "2013-09": 9.93, "2013-10": 9.18,
    "2013-11": 9.18, "2013-12": 10.43,
}  # fmt: skip
"""MAE in minutes, of issue 7's reference."""
BASELINE = dict(zip(FROZEN, (13.66, 13.54, 14.12, 15.24, 13.78, 12.41, 11.56, 11.27, 13.59), strict=True))
REFIT = dict(zip(FROZEN, (11.19, 10.69, 12.31, 12.92, 10.63, 9.29, 8.87, 8.90, 10.58), strict=True))
RETRAINED = ("2013-06", "2013-09")
WORDS: dict[str, Verdict] = {"2013-05": "watch", "2013-06": "decayed", "2013-09": "decayed", "2013-12": "unknown"}


def version_of(month: str) -> str:
    """The version that was live in the month."""
    return str(1 + sum(month > retrained for retrained in RETRAINED))


def leave_month(month: str, *, use_case: UseCase = FLIGHT_ETA, outcomes: int = 27_000) -> None:
    """The receipt of the month's drift check, and the governor's decision."""
    at = BEGIN + timedelta(hours=list(FROZEN).index(month))
    folder = RunFolder.of(f"{use_case.name}.watch_drift", f"asset_triggered__{month}")
    verdict = WORDS.get(month, "stable")
    receipt = Receipt("measure_drift", use_case.name, figures=_figures(month, verdict, outcomes), started_at=at.isoformat())
    receipt.links["Evidently report"] = folder.file("drift_report.html")
    folder.write_receipt(receipt)
    measurement = Measurement(
        partition=month, model_version=version_of(month), verdict=verdict, cause="concept drift" if verdict == "decayed" else "none",
        outcomes=outcomes, loss=0.04, loss_low=0.01, inputs_drifted=("schedule_padding_minutes",), data_faults=(),
    )  # fmt: skip
    retrain = month in RETRAINED
    reasons = (
        (f"{month}: 10.9 points of skill lost since release (limit 3.0 points), at least 7.6 with 95 % confidence.",)
        if retrain
        else (
            "Lost 1.2 points of skill since release, less than the limit of 3.0 points.",
            "Inputs drifted (schedule_padding_minutes), but input drift alone never retrains.",
        )
    )
    decision = Decision(action="retrain" if retrain else "hold", reasons=reasons)
    write_decision(DecisionRecord.of(use_case.name, measurement, decision, at=at, run_dir=folder.uri))


def _figures(month: str, verdict: Verdict, outcomes: int) -> dict[str, Figure]:
    skill = 1 - FROZEN[month] / BASELINE[month]
    place = list(FROZEN).index(month)
    effects = {
        "schedule_padding_minutes": 0.31,
        "route_gain_28d_minutes": 0.05 + 0.03 * place,
        "temperature_f": 0.2 * place,
        "carrier": 0.01,
    }
    inputs: dict[str, Figure] = {
        name: {"effect": round(effect, 3), "drifted": effect >= 0.25 and name != "temperature_f", "note": "", "measure": "psi"}
        for name, effect in effects.items()
    }
    performance: Figure = {
        "mae": FROZEN[month], "baseline_mae": BASELINE[month], "coverage": 0.79, "skill": skill, "skill_low": skill - 0.03,
        "skill_high": skill + 0.03, "skill_at_release": 0.21, "loss": 0.21 - skill, "loss_low": 0.01, "loss_high": 0.09,
    }  # fmt: skip
    gain = 1 - REFIT[month] / FROZEN[month]
    return {
        "model_version": version_of(month), "rows": 28_000, "outcomes": outcomes, "inputs": inputs, "verdict": verdict,
        "performance": performance if outcomes else None,
        "refit": {"rows": 9000, "gain": gain, "gain_low": gain - 0.02, "gain_high": gain + 0.02} if outcomes else None,
    }  # fmt: skip


def released(version: str) -> ReleasedVersion:
    return ReleasedVersion(version=version, digest="ab" * 32, triton_model=f"flight_eta_{version}")


def a_change(generation: int, stage: str, version: str, at: datetime, why: str = "run train_and_release") -> HistoryEntry:
    return HistoryEntry(generation, stage, version, "ab" * 32, "roundtrip@host", why, at)


def the_changes() -> tuple[HistoryEntry, ...]:
    """Version 1 before the first month, 2 after June, 3 after September, and 4 in the canary by now."""
    after = {month: BEGIN + timedelta(hours=place, minutes=30) for place, month in enumerate(FROZEN)}
    moments = {"1": BEGIN - timedelta(hours=1), "2": after["2013-06"], "3": after["2013-09"]}
    found = [(stage, version, at) for version, at in moments.items() for stage in ("staged", "shadow", "canary", "live")]
    found += [("staged", "4", after["2013-12"]), ("canary", "4", after["2013-12"])]
    return tuple(a_change(place, *entry) for place, entry in enumerate(found, 1))


def the_release(changes: tuple[HistoryEntry, ...]) -> Release:
    document = Release(use_case="flight_eta", generation=len(changes), live=released("3"), previous=released("2"))
    return replace(document.staged(released("4")).at("canary", share=25), watched=True)


def the_year() -> UseCaseOverview:
    """All of it, in the test's storage root; one table lags behind, and has rows in quarantine."""
    for month in FROZEN:
        leave_month(month)
    changes = the_changes()
    first, *rest = as_it_is().tables
    late = replace(first, newest="2013-10", rows=28_889, age=timedelta(days=61), waiting={"2013-02": 3, "2013-09": 1204})
    tables = (late, *(replace(table, newest="2013-12", rows=28_135, age=timedelta(0)) for table in rest))
    return replace(as_it_is(release=the_release(changes), changes=changes), tables=tables)


def as_it_is(release: Release | None = None, changes: tuple[HistoryEntry, ...] = ()) -> UseCaseOverview:
    """What the test's storage root holds, beside a release."""
    return UseCaseOverview(
        use_case=FLIGHT_ETA,
        release=release or Release(use_case="flight_eta"),
        changes=changes,
        months=tuple(newest_months("flight_eta", 12)),
        tables=tuple(table_states(FLIGHT_ETA, now=BEGIN)),
        unknown=(),
    )
