"""The year as the governor would have run it, beside a model that is never trained again and one that is trained every month.

`make bench-monitoring`. First trained on January to March; each month from April on is scored, its outcomes are measured as
watch_drift measures them, and the governor decides. Every model is the declared network, trained by torchrun on what a snapshot of
`..month` gives. Kept as benchmarks/results/replayed_year_<hardware>_<date>.json.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from benchmarks.keep_result import keep_result
from benchmarks.training.trained import trained
from benchmarks.training.year import labelled_year, months
from roundtrip.contracts.columns import column_of
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.names import months_back, months_between
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.evaluation.skill import Skill, skill_with_interval
from roundtrip.lakehouse.snapshot import SnapshotRows, split_at
from roundtrip.monitoring.governor import Decision, History, Measurement, decide
from roundtrip.monitoring.performance import DailyErrors, Performance, measure_performance
from roundtrip.monitoring.refit import Refit, refit_on
from roundtrip.monitoring.scored_rows import OUTCOME, days, matrix
from roundtrip.monitoring.verdict import cause_of, verdict_of
from roundtrip.serving.parity import network_answer
from roundtrip.training.ensemble import Ensemble
from roundtrip.training.training_record import CONTRACT_FILE
from use_cases.flight_eta.declaration import USE_CASE

FIRST, REPLAYED = "2013-03", months_between("2013-04", "2013-12")
GOALS = "the governed year has 80 % of the gain of training each month, with 4 retrains at most, none asked for in April or December"
MEDIAN = USE_CASE.outputs[0].name


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model, trained on the months to `through`, and what it says of the whole year."""

    through: str
    learned: pa.Table
    outputs: NDArray[np.float32]
    """[rows of the year, 3]."""
    gain: float
    at_release: Skill


def main() -> None:
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".roundtrip") as scratch:
        year = labelled_year(Path(scratch))
        models = {through: model_of(Path(scratch) / through, year, through) for through in months_between(FIRST, "2013-11")}
        result = replayed(year, models)
    print(f"Kept as {keep_result('replayed_year', result)}")


def model_of(folder: Path, year: pa.Table, through: str) -> Model:
    """Train on the months to `through`, as a snapshot of them splits them."""
    rows = split(year, through)
    trained(folder, rows.train, rows.held_out, USE_CASE.recipe)
    network, contract = Ensemble.load(folder / "model"), ModelContract.from_json((folder / "model" / CONTRACT_FILE).read_bytes())
    outputs = network_answer(network, contract, {entry.name: column_of(year, entry.name) for entry in USE_CASE.inputs})
    model = Model(through=through, learned=rows.train, outputs=outputs, gain=float(network.gain), at_release=Skill(value=0, low=0, high=0))
    held_out = np.flatnonzero(
        _in(year, through) & (days(year, USE_CASE.prediction_time) >= days(rows.held_out, USE_CASE.prediction_time).min())
    )
    labels, baseline = matrix(year.take(pa.array(held_out)), [USE_CASE.label, USE_CASE.baseline.column]).T
    errors = np.abs(labels - outputs[held_out, 0]), np.abs(labels - baseline - model.gain)
    skill = skill_with_interval(*errors, days(year, USE_CASE.prediction_time)[held_out])
    return Model(through=through, learned=rows.train, outputs=outputs, gain=model.gain, at_release=skill)


def split(year: pa.Table, through: str) -> SnapshotRows:
    known = months(year, "2013-01", through)
    return split_at(
        known, USE_CASE.prediction_time, pc.max(known[USE_CASE.prediction_time]).as_py() - timedelta(days=USE_CASE.gate.held_out_days)
    )


def replayed(year: pa.Table, models: dict[str, Model]) -> dict[str, object]:
    """The three years, month by month."""
    live = models[FIRST]
    asked: list[str] = []
    decayed: list[str] = []
    rows: list[dict[str, object]] = []
    for month in REPLAYED:
        performance, refit = measured(year, live, month)
        verdict = verdict_of(performance, refit, moved=False, policy=USE_CASE.retrain)
        measurement = Measurement(
            partition=month, model_version=live.through, verdict=verdict, cause=cause_of(verdict, refit, moved=False, faulty=False),
            outcomes=performance.rows, mae=performance.mae, baseline_mae=performance.baseline_mae, loss=performance.loss.value,
            loss_low=performance.loss.low, refit_mae=refit.mae, refit_gain=refit.gain.value, refit_gain_low=refit.gain.low,
        )  # fmt: skip
        history = History(
            live_version=live.through, trained_through=live.through, retrains_asked=tuple(asked), decayed=tuple(decayed), run_in_flight=None
        )
        decision = decide(measurement, USE_CASE.retrain, history)
        rows.append(row_of(month, live, models, performance, refit, decision, verdict=verdict, cause=measurement.cause, year=year))
        print(rows[-1], flush=True)
        decayed = [*decayed, month] if verdict == "decayed" else decayed
        if decision.action == "retrain":
            asked.append(month)
            live, decayed = models.get(month, live), []
    return summary(rows, asked)


def summary(rows: list[dict[str, object]], asked: list[str]) -> dict[str, object]:
    """The rows with what they come to. The year's MAE weighs every flight the same."""
    flights = np.array([row["rows"] for row in rows], dtype=np.float64)
    frozen, governed, monthly = (np.array([row[f"{name}_mae"] for row in rows], dtype=np.float64) @ flights / flights.sum()
                                 for name in ("frozen", "governed", "monthly"))  # fmt: skip
    share = float((frozen - governed) / (frozen - monthly))
    print(f"Frozen {frozen:.3f}, governed {governed:.3f}, monthly {monthly:.3f} min: {share:.0%} of the gain; retrains after {asked}")
    return {
        "what": "MAE in minutes by month; trained on January to March, then never, as the governor asks, each month", "goals": GOALS,
        "frozen_mae": frozen, "governed_mae": governed, "monthly_mae": monthly, "share_of_the_gain": share, "retrains_asked": asked,
        "months": rows,
    }  # fmt: skip


def row_of(
    month: str, live: Model, models: dict[str, Model], performance: Performance, refit: Refit, decision: Decision, *, verdict: str,
    cause: str, year: pa.Table,
) -> dict[str, object]:  # fmt: skip
    inside = np.flatnonzero(_in(year, month))
    labels = matrix(year.take(pa.array(inside)), [USE_CASE.label])[:, 0]
    maes = {name: float(np.abs(labels - models[through].outputs[inside, 0]).mean())
            for name, through in (("frozen", FIRST), ("monthly", months_back(month, 1)[0]))}  # fmt: skip
    return {
        "month": month, "rows": performance.rows, "live": live.through, "baseline_mae": performance.baseline_mae,
        **{f"{name}_mae": mae for name, mae in maes.items()}, "governed_mae": performance.mae, "skill_lost": performance.loss.value,
        "refit": refit.figures(), "verdict": verdict, "cause": cause, "action": decision.action, "reasons": decision.reasons,
    }  # fmt: skip


def measured(year: pa.Table, live: Model, month: str) -> tuple[Performance, Refit]:
    """What watch_drift measures of the month's performance."""
    inside = np.flatnonzero(_in(year, month))
    rows = year.take(pa.array(inside))
    scored = rows.rename_columns([OUTCOME if name == USE_CASE.label else name for name in rows.column_names])
    for place, output in enumerate(USE_CASE.outputs):
        scored = scored.append_column(output.name, pa.array(live.outputs[inside, place].astype(np.float64)))
    before = year.filter(pc.less(year["event_month"], month))
    refit = refit_on(USE_CASE, scored, before=lambda most: [before.slice(max(0, before.num_rows - most))], trained_on=live.learned)
    errors = DailyErrors()
    errors.add(
        outcomes=matrix(scored, [OUTCOME])[:, 0],
        predictions=matrix(scored, [output.name for output in USE_CASE.outputs]),
        baseline=matrix(scored, [USE_CASE.baseline.column])[:, 0] + live.gain,
        days=days(scored, USE_CASE.prediction_time),
    )
    performance = measure_performance(errors, at_release=live.at_release)
    assert performance is not None and refit is not None
    return performance, refit


def _in(year: pa.Table, month: str) -> NDArray[np.bool_]:
    """Which rows of the year are of the month, bool [n]."""
    return pc.equal(year["event_month"], month).to_numpy(zero_copy_only=False)


if __name__ == "__main__":
    main()
