"""How often a drift check cries wolf, and how often it sees a fault.

`make bench-monitoring`. A world without drift: reference (twelve weeks) and windows are drawn from one month, April, with replacement.
Then one fault is put into each window, into an input drawn by chance. What a model says of the month, and how it errs, comes from trees
grown on March. Kept as benchmarks/results/alarms_<hardware>_<date>.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.keep_result import keep_result
from benchmarks.training.year import labelled_year, months
from roundtrip.contracts.columns import column_of
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.evaluation.yardstick import trees_answer
from roundtrip.lakehouse.joined import BATCH_ROWS
from roundtrip.monitoring.answers import answer_inputs
from roundtrip.monitoring.inputs import data_faults, input_drifts, inputs_drifted, joint_drift
from roundtrip.monitoring.profile import ReferenceProfile, profile_reference, profile_rows
from roundtrip.monitoring.refit import CHALLENGER, refit_on
from roundtrip.monitoring.scored_rows import OUTCOME
from roundtrip.training.rows import rows_of, vocabulary
from use_cases.flight_eta.declaration import USE_CASE

PREDICTION, ERROR = (entry.name for entry in answer_inputs(USE_CASE))
COUNTED = (*USE_CASE.inputs, *answer_inputs(USE_CASE))
STEADY = [entry for entry in USE_CASE.inputs if not entry.drifts_by_nature]
MEDIAN = USE_CASE.outputs[0].name
SCALE, SHIFT, NULLED, LATE_MINUTES = 1.1, 0.25, 0.2, 3.0
"""Factor, standard deviations, share of the rows, minutes."""
GOALS = "false alarms in 1 % of the windows at most; each fault found in the first partition in 95 % of the trials at least"
Draw = np.random.Generator
Fault = Callable[[pa.Table, Draw], tuple[pa.Table, str]]
"""Puts a fault into a window, and says into which column."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--refits", type=int, default=30)
    request = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".roundtrip") as scratch:
        year = labelled_year(Path(scratch), last="2013-04")
    pool, march = months(year, "2013-04", "2013-04"), months(year, "2013-03", "2013-03")
    pool = answered(march, pool)
    draw = np.random.default_rng(seed=1)
    reference = profile_reference(COUNTED, lambda: reference_rows(pool).to_batches(max_chunksize=BATCH_ROWS), time=USE_CASE.prediction_time)
    began = time.monotonic()
    false = Counter(tuple(alarms(reference, window(pool, draw))) for _ in range(request.windows))
    seconds = (time.monotonic() - began) / request.windows
    print(
        f"{request.windows - false[()]} of {request.windows} windows without drift raise an alarm: {dict(false)}; {seconds:.2f} s a window",
        flush=True,
    )
    power = {name: found(reference, pool, fault, draw, request.trials) for name, fault in FAULTS.items()}
    decays = sum(refit_alarm(pool, draw) for _ in range(request.refits))
    print(f"{decays} of {request.refits} refits without drift are taken for decay", flush=True)
    result = {
        "what": "drift checks of windows resampled from April 2013, without drift and with one fault each", "goals": GOALS,
        "window_rows": pool.num_rows, "windows": request.windows, "false_alarms": request.windows - false[()],
        "false_alarms_by_signal": {", ".join(names): times for names, times in false.items() if names}, "seconds_a_window": seconds,
        "refits": request.refits, "refits_taken_for_decay": decays, "power": power,
    }  # fmt: skip
    print(f"Kept as {keep_result('alarms', result)}")


def answered(learned: pa.Table, rows: pa.Table) -> pa.Table:
    """The rows with what trees grown on `learned` predict, and how they err."""
    contract = ModelContract.of(USE_CASE, vocabulary(USE_CASE, [learned]))
    known, asked = (rows_of(contract, table, USE_CASE.label) for table in (learned, rows))
    median = trees_answer(contract, known, asked, CHALLENGER).median
    errors = np.asarray(column_of(rows, USE_CASE.label), dtype=np.float64) - median
    return rows.append_column(PREDICTION, pa.array(median)).append_column(ERROR, pa.array(errors))


def reference_rows(pool: pa.Table) -> pa.Table:
    """Three times the month's rows, drawn anew, over twelve weeks. The same at each call."""
    draw = np.random.default_rng(seed=2)
    rows = window(pool, draw, times=3)
    stamps = np.datetime64("2013-01-03", "us") + np.sort(draw.uniform(0, 12 * 7 * 86400e6, rows.num_rows)).astype("timedelta64[us]")
    place = rows.column_names.index(USE_CASE.prediction_time)
    return rows.set_column(place, USE_CASE.prediction_time, pa.array(stamps, pa.timestamp("us", tz="UTC")))


def window(pool: pa.Table, draw: Draw, times: int = 1) -> pa.Table:
    """As many rows as the month has (or a multiple), drawn with replacement."""
    return pool.take(pa.array(draw.integers(pool.num_rows, size=times * pool.num_rows)))


def alarms(reference: ReferenceProfile, rows: pa.Table) -> list[str]:
    """The signals that raise an alarm on a window."""
    current = profile_rows(reference.plan, rows.to_batches(max_chunksize=BATCH_ROWS))
    drifts = input_drifts(reference.plan.inputs, reference, current)
    inputs = {entry.name: drifts[entry.name] for entry in USE_CASE.inputs}
    signals = {
        "inputs": bool(inputs_drifted(USE_CASE.inputs, inputs)),
        "data faults": bool(data_faults(USE_CASE.inputs, inputs)),
        "joint": joint_drift(reference, current).drifted,
        "predictions": drifts[PREDICTION].drifted,
        "errors": drifts[ERROR].drifted,
    }
    return [name for name, raised in signals.items() if raised]


def found(reference: ReferenceProfile, pool: pa.Table, fault: Fault, draw: Draw, trials: int) -> dict[str, object]:
    """In how many trials the fault is found, by which signals, and in which columns it is not."""
    signals: Counter[str] = Counter()
    columns: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for _ in range(trials):
        faulty, column = fault(window(pool, draw), draw)
        raised = alarms(reference, faulty)
        signals.update(raised)
        columns[column] += 1
        missed[column] += not raised
    told = {
        "share": 1 - missed.total() / trials,
        "trials": trials,
        "signals": dict(signals),
        "missed": {name: f"{times} of {columns[name]}" for name, times in missed.items() if times},
    }
    print(f"{fault.__name__}: {told}", flush=True)
    return told


def scaled(rows: pa.Table, draw: Draw) -> tuple[pa.Table, str]:
    name = _any(draw, "number")
    return _with(rows, name, pc.multiply(pc.cast(rows[name], pa.float64()), SCALE)), name


def shifted(rows: pa.Table, draw: Draw) -> tuple[pa.Table, str]:
    name = _any(draw, "number")
    values = pc.cast(rows[name], pa.float64())
    return _with(rows, name, pc.add(values, SHIFT * pc.stddev(values).as_py())), name


def nulled(rows: pa.Table, draw: Draw) -> tuple[pa.Table, str]:
    entry = USE_CASE.inputs[draw.integers(len(USE_CASE.inputs))]
    gone = pa.array(draw.random(rows.num_rows) < NULLED)
    return _with(rows, entry.name, pc.if_else(gone, pa.scalar(None, rows[entry.name].type), rows[entry.name])), entry.name


def swapped(rows: pa.Table, draw: Draw) -> tuple[pa.Table, str]:
    """The two most frequent values of a category change places."""
    name = _any(draw, "category")
    counts = sorted(pc.value_counts(rows[name].drop_null()).to_pylist(), key=lambda entry: -entry["counts"])
    first, second = (entry["values"] for entry in counts[:2])
    values = rows[name]
    exchanged = pc.if_else(pc.equal(values, first), second, pc.if_else(pc.equal(values, second), first, values))
    return _with(rows, name, exchanged), name


def late_labels(rows: pa.Table, draw: Draw) -> tuple[pa.Table, str]:
    assert draw
    return _with(rows, ERROR, pc.add(rows[ERROR], LATE_MINUTES)), USE_CASE.label


FAULTS: dict[str, Fault] = {
    f"an input × {SCALE}": scaled, f"an input + {SHIFT} standard deviations": shifted, f"{NULLED:.0%} of an input nulled": nulled,
    "two values of a category swapped": swapped, f"labels + {LATE_MINUTES:g} min": late_labels,
}  # fmt: skip


def refit_alarm(pool: pa.Table, draw: Draw) -> bool:
    """Whether a refit is taken for decay where there is none: half of the month's rows are known, the live model is trees grown on them,
    and the other half is the partition.
    """
    order = draw.permutation(pool.num_rows)
    known, partition = (pool.take(pa.array(np.sort(part))) for part in np.array_split(order, 2))
    live = answered(known.drop_columns([PREDICTION, ERROR]), partition.drop_columns([PREDICTION, ERROR]))
    scored = live.rename_columns(
        [OUTCOME if name == USE_CASE.label else MEDIAN if name == PREDICTION else name for name in live.column_names]
    )
    refit = refit_on(USE_CASE, scored, before=lambda most: [known.slice(max(0, known.num_rows - most))], trained_on=known)
    assert refit is not None
    return refit.gain.value >= USE_CASE.retrain.refit_gain and refit.gain.low > 0


def _any(draw: Draw, kind: str) -> str:
    """The name of an input of the kind that does not drift by nature, drawn by chance."""
    names = [entry.name for entry in STEADY if entry.kind == kind]
    return names[draw.integers(len(names))]


def _with(rows: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


if __name__ == "__main__":
    main()
