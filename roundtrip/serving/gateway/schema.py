"""The request and the answer as pydantic models, built from the model contract of the live version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Protocol, cast

from pydantic import BaseModel, ConfigDict, Field, create_model

from roundtrip.contracts.model_contract import ModelContract, Value
from roundtrip.contracts.use_cases import Input
from roundtrip.serving.triton_repository import LARGEST_BATCH

MONTH = r"^(19|20)\d\d-(0[1-9]|1[0-2])$"
LONGEST_TEXT = 200
"""Characters of a category value or a key: longer ones are no codes, and would bloat the prediction log."""
_EXAMPLES = 5

_KEY = Annotated[str, Field(max_length=LONGEST_TEXT, description="Names the row: comes back in the answer and in the prediction log.")]
_EVENT_MONTH = Annotated[str, Field(pattern=MONTH, description="Partition of the event, such as 2013-04. Default: this month (UTC).")]


class PredictRequest(Protocol):
    """What a parsed body holds."""

    instances: Sequence[BaseModel]


def request_model(contract: ModelContract) -> type[BaseModel]:
    """The model of a :predict body: 1 to LARGEST_BATCH instances, each with the contract's inputs, `key` and `event_month`."""
    instance = instance_model(contract)
    instances = Annotated[list[instance], Field(min_length=1, max_length=LARGEST_BATCH)]  # type: ignore[valid-type]
    return create_model(f"{_title(contract)}Request", __config__=ConfigDict(extra="forbid"), instances=(instances, ...))


def instance_model(contract: ModelContract) -> type[BaseModel]:
    """The model of one row. Unknown fields are refused: a misspelt input would otherwise count as missing."""
    fields: dict[str, object] = {entry.name: _field(entry, contract) for entry in contract.inputs}
    fields["key"] = (_KEY | None, None)
    fields["event_month"] = (_EVENT_MONTH | None, None)
    name = f"{_title(contract)}Instance"
    return cast(type[BaseModel], create_model(name, __config__=ConfigDict(extra="forbid", strict=True), **fields))  # type: ignore[call-overload]


def response_model(contract: ModelContract) -> type[BaseModel]:
    """The model of the answer, for the documentation."""
    outputs: dict[str, object] = {
        output.name: (float, Field(description=f"Quantile {output.quantile} [{output.unit}]")) for output in contract.outputs
    }
    prediction = create_model(f"{_title(contract)}Prediction", key=(str | None, None), **outputs)  # type: ignore[call-overload]
    return create_model(
        f"{_title(contract)}Answer",
        use_case=(str, ...),
        model_version=(str, Field(description="Registry version that answered.")),
        served_by=(str, Field(description="`triton`, or `onnxruntime` in this process when Triton gave no answer in time.")),
        request_id=(str, Field(description="X-Request-ID of the request, or one made here.")),
        predictions=(list[prediction], ...),  # type: ignore[valid-type]
    )


def columns_of(contract: ModelContract, instances: Sequence[BaseModel]) -> dict[str, list[Value]]:
    """The instances as columns of the contract's inputs. What a candidate asks for and the live version's requests lack is missing."""
    rows = [instance.__dict__ for instance in instances]
    return {name: [row.get(name) for row in rows] for name in contract.names}


def _field(entry: Input, contract: ModelContract) -> tuple[object, object]:
    description = f"{entry.meaning} [{entry.unit}]"
    if entry.kind == "number":
        limits = Field(
            ge=entry.minimum, le=entry.maximum, allow_inf_nan=False, description=description, json_schema_extra={"unit": entry.unit}
        )
        value: object = Annotated[float, limits]
    else:
        known = contract.vocabulary[entry.name]
        text = Field(max_length=LONGEST_TEXT, description=f"{description}; unknown values are allowed", examples=known[:_EXAMPLES])  # type: ignore[arg-type]
        value = Annotated[str, text]
    return (value | None, None) if entry.optional else (value, ...)  # type: ignore[operator]


def _title(contract: ModelContract) -> str:
    return "".join(part.capitalize() for part in re.split(r"_+", contract.use_case))
