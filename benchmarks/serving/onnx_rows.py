"""The version's graph in a peer's own process: rows by the contract's names in, outputs by name out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from roundtrip.contracts.model_contract import ModelContract
from roundtrip.serving.gateway.schema import columns_of
from roundtrip.serving.scoring import CONTRACT_FILE, Scorer


class OnnxRows:
    """ONNX Runtime with one thread, as in Triton's backend."""

    def __init__(self, folder: Path) -> None:
        self._scorer = Scorer(folder)
        self._names = [output.name for output in self._scorer.contract.outputs]

    def answer(self, instances: Sequence[BaseModel]) -> list[dict[str, float]]:
        """One object a row."""
        found = self._scorer.predict(columns_of(self._scorer.contract, instances))
        return [dict(zip(self._names, row, strict=True)) for row in found.tolist()]


def contract_in(folder: Path) -> ModelContract:
    return ModelContract.from_json((folder / CONTRACT_FILE).read_bytes())
