"""The contract of the version that the gateway serves, read from its v2 metadata, and rows checked against it before they are sent."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from numbers import Real

import msgspec

from roundtrip.contracts.errors import RowRefused
from roundtrip.contracts.model_contract import Value

Row = Mapping[str, object]
"""One row: input → a number, a text, or None (or NaN) where it is missing. `key` and `event_month` may name it, as in a :predict body."""

NAMING = ("key", "event_month")
"""Fields of a row that are no inputs: they name it in the prediction log, and `key` in the answer."""


class InputParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What an input means; `minimum` and `maximum` in its unit, None for a category."""

    unit: str
    meaning: str
    optional: bool
    minimum: float | None
    maximum: float | None
    example: Value


class ServedInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input. `datatype`: FP32 for a number, BYTES for a text, the value of a category."""

    name: str
    datatype: str
    parameters: InputParameters

    @property
    def is_number(self) -> bool:
        return self.datatype == "FP32"

    def fault(self, value: object) -> str:
        """What is wrong with a value, empty when nothing is."""
        described = f"{self.name} ({self.parameters.meaning}) [{self.parameters.unit}]"
        if value is None:
            return "" if self.parameters.optional else f"{described} is missing, and required"
        if not self.is_number:
            return "" if isinstance(value, str) else f"{described} is {value!r}, no text"
        if isinstance(value, bool) or not isinstance(value, Real):
            return f"{described} is {value!r}, no number"
        limits = self.parameters
        least, most = (-math.inf if limits.minimum is None else limits.minimum), (math.inf if limits.maximum is None else limits.maximum)
        within = math.isfinite(value) and least <= float(value) <= most
        return "" if within else f"{described} is {value} (limits {least:g} to {most:g})"


class OutputParameters(msgspec.Struct, frozen=True, kw_only=True):
    """An output's unit, and which quantile of the label it is."""

    unit: str
    quantile: float


class ServedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """An output."""

    name: str
    parameters: OutputParameters


class ModelParameters(msgspec.Struct, frozen=True, kw_only=True):
    """`most_rows`: rows that one request takes."""

    most_rows: int


class ServedContract(msgspec.Struct, frozen=True, kw_only=True):
    """What the live version takes and gives: the answer of GET /v2/models/{use case}."""

    name: str
    """The use case's."""
    versions: tuple[str, ...]
    """The live one."""
    parameters: ModelParameters
    inputs: tuple[ServedInput, ...]
    outputs: tuple[ServedOutput, ...]

    @classmethod
    def from_json(cls, content: bytes) -> ServedContract:
        return _decoded(content)

    def example(self) -> dict[str, object]:
        """A row that works when it is sent as it stands."""
        return {entry.name: entry.parameters.example for entry in self.inputs}

    def checked(self, rows: Sequence[Row]) -> list[dict[str, float | str]]:
        """The rows as they are sent: numbers as floats, without what is missing. Raises RowRefused for the first faulty one."""
        return [self._checked(row, place) for place, row in enumerate(rows)]

    def _checked(self, row: Row, place: int) -> dict[str, float | str]:
        given = {name: value for name, value in row.items() if not _is_missing(value)}
        faults = [self._unknown(name) for name in row if name not in NAMING and not any(entry.name == name for entry in self.inputs)]
        faults += [fault for entry in self.inputs if (fault := entry.fault(given.get(entry.name)))]
        faults += [f"{name} is {given[name]!r}, no text" for name in NAMING if not isinstance(given.get(name, ""), str)]
        if faults:
            raise RowRefused(
                f"row {place} (the first is 0) breaks the contract of {self.name} version {', '.join(self.versions)}: {'; '.join(faults)}."
            )
        return {name: float(value) if isinstance(value, Real) else str(value) for name, value in given.items()}

    def _unknown(self, name: str) -> str:
        known = [*(entry.name for entry in self.inputs), *NAMING]
        close = difflib.get_close_matches(name, known, n=1)
        return f"{name!r} is no input (did you mean {close[0]!r}?)" if close else f"{name!r} is no input (there are {', '.join(known)})"


_decoded = msgspec.json.Decoder(ServedContract).decode


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, Real) and math.isnan(value))
