"""Evaluate the run folder's model against the version that serves."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from roundtrip.contracts import storage
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.receipts import RunFolder
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation.evaluate import Champion, ask, evaluate
from roundtrip.evaluation.quality import Evaluation
from roundtrip.evaluation.yardstick import trees_answer
from roundtrip.lakehouse.snapshot import Snapshot, load_rows
from roundtrip.registry.version_folder import fetch
from roundtrip.serving.parity import network_answer
from roundtrip.serving.release import live_version
from roundtrip.serving.scoring import Scorer
from roundtrip.training.network import Network
from roundtrip.training.rows import rows_of
from roundtrip.training.training_record import CONTRACT_FILE, MODEL_FOLDER


def evaluate_candidate(use_case: UseCase, folder: RunFolder) -> Evaluation:
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
    return evaluate(use_case, rows.held_out, answers)


def load_model(folder: RunFolder) -> tuple[Network, ModelContract]:
    """The trained network and its contract."""
    with tempfile.TemporaryDirectory() as scratch:
        storage.download_folder(folder.file(MODEL_FOLDER), Path(scratch))
        return Network.load(Path(scratch)), ModelContract.from_json((Path(scratch) / CONTRACT_FILE).read_bytes())


def live_champion(use_case: UseCase) -> Champion | None:
    """The version that serves, None before the first release. It answers through its own graph and vocabulary."""
    version = live_version(use_case.name)
    return Champion(version, Scorer(fetch(use_case.name, version)).predict) if version else None
