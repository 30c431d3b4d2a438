"""From a run folder's trained model to a published version folder."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from roundtrip.contracts import storage
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.receipts import EVALUATION_FILE, SNAPSHOT_FILE, RunFolder
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.registry.model_card import MARKDOWN_FILE
from roundtrip.registry.version_folder import fetch, publish, published_digest, write_manifest
from roundtrip.serving.compile import Compiled, build_version, check_version
from roundtrip.serving.real_rows import held_out_columns
from roundtrip.serving.scoring import CONTRACT_FILE
from roundtrip.training.ensemble import Ensemble


@dataclass(frozen=True)
class PublishedVersion:
    """A version folder in the store, and what its checks found."""

    digest: str
    compiled: Compiled


def compile_candidate(use_case: UseCase, folder: RunFolder, version: str) -> PublishedVersion:
    """Build the registered version from the run folder's model, check it and publish it under its version number.

    A version that is published already is checked as it is: it never changes. Raises ParityFailed, CompileFailed, DigestMismatch.
    """
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model"
        storage.download_folder(folder.file("model"), model)
        network, contract = Ensemble.load(model), ModelContract.from_json((model / CONTRACT_FILE).read_bytes())
        if published_digest(use_case.name, version) is None:
            built = Path(scratch) / "version"
            built.mkdir()
            build_version(network, contract, built)
            _add_what_outlives_the_run(built, folder)
        else:
            built = fetch(use_case.name, version)
        compiled = check_version(network, built, held_out_columns(use_case, Snapshot.load(folder.uri), contract))
        return PublishedVersion(digest=publish(built, use_case.name, version), compiled=compiled)


def _add_what_outlives_the_run(built: Path, folder: RunFolder) -> None:
    """The model card, and what drift is measured against: the snapshot and the evaluation."""
    (built / MARKDOWN_FILE).write_bytes(storage.read_bytes(folder.file(MARKDOWN_FILE)))
    (built / SNAPSHOT_FILE).write_bytes(storage.read_bytes(folder.file(SNAPSHOT_FILE)))
    (built / EVALUATION_FILE).write_text(json.dumps(folder.receipt("evaluate_model").figures, indent=2))
    write_manifest(built)
