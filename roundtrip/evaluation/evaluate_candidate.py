"""Evaluate the run folder's model against the version that serves."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from roundtrip.contracts import storage
from roundtrip.contracts.columns import column_of
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.receipts import RunFolder
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation import pictures
from roundtrip.evaluation.evaluate import Answers, Champion, ask, evaluate
from roundtrip.evaluation.quality import Evaluation
from roundtrip.evaluation.slices import members
from roundtrip.evaluation.yardstick import trees_answer
from roundtrip.lakehouse.snapshot import Snapshot, load_rows
from roundtrip.registry.version_folder import fetch
from roundtrip.serving.parity import network_answer
from roundtrip.serving.release import live_version
from roundtrip.serving.scoring import Scorer
from roundtrip.training.ensemble import Ensemble
from roundtrip.training.rows import rows_of
from roundtrip.training.training_record import CONTRACT_FILE, MODEL_FOLDER


@dataclass(frozen=True)
class Evaluated:
    """The figures, and what they look like."""

    evaluation: Evaluation
    pictures: dict[str, bytes]
    """File name → PNG."""


def evaluate_candidate(use_case: UseCase, folder: RunFolder) -> Evaluated:
    """All on the held-out span of the snapshot. Reads the release document, the store and the tables; grows the yardstick's trees."""
    network, contract = load_model(folder)
    rows = load_rows(use_case, Snapshot.load(folder.uri))
    learned, held_out = (rows_of(contract, table, use_case.label) for table in (rows.train, rows.held_out))
    answers = ask(
        use_case,
        rows.held_out,
        candidate=partial(network_answer, network, contract),
        gain=float(network.gain),
        champion=live_champion(use_case),
        yardstick=trees_answer(contract, learned, held_out),
    )
    return Evaluated(evaluate(use_case, rows.held_out, answers), drawn(use_case, rows.held_out, answers))


def drawn(use_case: UseCase, held_out: pa.Table, answers: Answers) -> dict[str, bytes]:
    """The pictures of what was answered about the rows of `held_out`: file name → PNG."""
    labels, medians, unit = answers.rows.labels, answers.medians(), use_case.outputs[0].unit
    quantiles = [output.quantile for output in use_case.outputs]
    units = {entry.name: entry.unit for entry in use_case.inputs}
    slices = {}
    for entry in use_case.slices:
        names, member = members(entry, units[entry.input], column_of(held_out, entry.input))
        slices[entry.input] = [names[place] for place in member]
    return {
        "residuals.png": pictures.residuals(medians["candidate"], labels, unit=unit),
        "calibration.png": pictures.calibration(answers.candidate, labels, quantiles=quantiles, unit=unit),
        "error_by_slice.png": pictures.error_by_slice(slices, medians, labels, unit=unit),
    }


def load_model(folder: RunFolder) -> tuple[Ensemble, ModelContract]:
    """The trained network and its contract."""
    with tempfile.TemporaryDirectory() as scratch:
        storage.download_folder(folder.file(MODEL_FOLDER), Path(scratch))
        return Ensemble.load(Path(scratch)), ModelContract.from_json((Path(scratch) / CONTRACT_FILE).read_bytes())


def live_champion(use_case: UseCase) -> Champion | None:
    """The version that serves, None before the first release. It answers through its own graph and vocabulary."""
    version = live_version(use_case.name)
    return Champion(version, Scorer(fetch(use_case.name, version)).predict) if version else None
