"""The model contract as it travels with a model version: inputs, outputs, units, and the vocabulary of its categories.

Training writes it (`contract.json`); export, Triton's configuration, the gateway and batch scoring read it. Only numpy is needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from roundtrip.contracts.use_cases import Input, Output, UseCase

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Value = float | int | str | None


@dataclass(frozen=True, kw_only=True)
class ModelContract:
    """What a model version takes and gives."""

    use_case: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    baseline_column: str
    vocabulary: dict[str, list[str]]
    """Category input → its known values; the id of a value is its place + 1, id 0 is unknown or missing."""

    @classmethod
    def of(cls, use_case: UseCase, vocabulary: dict[str, list[str]]) -> ModelContract:
        """The contract that a use case declares, with the vocabulary of its training rows."""
        return cls(
            use_case=use_case.name,
            inputs=use_case.inputs,
            outputs=use_case.outputs,
            baseline_column=use_case.baseline.column,
            vocabulary=vocabulary,
        )

    @classmethod
    def from_json(cls, content: bytes | str) -> ModelContract:
        return _decoded(content)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=2, sort_keys=True).encode()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the inputs, in order."""
        return tuple(entry.name for entry in self.inputs)

    @cached_property
    def numbers(self) -> tuple[Input, ...]:
        return tuple(entry for entry in self.inputs if entry.kind == "number")

    @cached_property
    def categories(self) -> tuple[Input, ...]:
        return tuple(entry for entry in self.inputs if entry.kind == "category")

    @cached_property
    def _ids(self) -> dict[str, dict[str, int]]:
        """Category input → value → id: made once, for the gateway encodes one row at a time."""
        return {name: {value: number for number, value in enumerate(values, start=1)} for name, values in self.vocabulary.items()}

    def example(self) -> dict[str, Value]:
        """A row that works when it is sent as it stands: the middle of each number's range, the first known value of each category."""
        return {
            entry.name: round(((entry.minimum or 0.0) + (entry.maximum or 0.0)) / 2, 1)
            if entry.kind == "number"
            else next(iter(self.vocabulary[entry.name]), "unknown")
            for entry in self.inputs
        }

    def encode(self, columns: Mapping[str, Sequence[Value]]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Columns of n values → numbers float32 [n, N] (NaN where missing) and categories int32 [n, C] (0 where unknown or missing).

        A column that is left out counts as missing in every row. Clamping and scaling happen inside the network.
        """
        import numpy as np

        rows = len(next(iter(columns.values())))
        missing: list[Value] = [None] * rows
        # one array of all columns: for a single row, an array for each took five times as long
        numbers = np.array([columns.get(entry.name, missing) for entry in self.numbers], dtype=np.float32)
        ids = [[self._ids[entry.name].get(str(value), 0) for value in columns.get(entry.name, missing)] for entry in self.categories]
        categories = np.array(ids, dtype=np.int32)
        return (
            np.ascontiguousarray(numbers.reshape(len(self.numbers), rows).T),
            np.ascontiguousarray(categories.reshape(len(self.categories), rows).T),
        )


_decoded = msgspec.json.Decoder(ModelContract).decode
