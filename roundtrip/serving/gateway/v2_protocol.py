"""KServe's v2 inference protocol in JSON: one tensor for each input of the contract, [n] or [n, 1], and one for each output.

A tensor `key` or `event_month` (BYTES) names the rows for the prediction log, as the fields of :predict do. The binary
extension is not offered, as the metadata say: send JSON (`binary_data=False` in tritonclient).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from roundtrip.contracts.model_contract import ModelContract
from roundtrip.serving.gateway.problems import Problem, invalid
from roundtrip.serving.tensors import Predictions
from roundtrip.serving.triton_repository import LARGEST_BATCH

TEXT_TENSORS = ("key", "event_month")

Datum = float | int | str | bool | None
Row = dict[str, object]


class TensorIn(BaseModel):
    """One input: `data` row by row, null where a value is missing. The contract, not `datatype`, says what a value must be."""

    name: str
    shape: list[int] = Field(min_length=1, max_length=2)
    datatype: str
    data: list[Datum | list[Datum]]


class RequestedOutput(BaseModel):
    """An output that the caller wants; without any, all are given."""

    name: str


class InferRequest(BaseModel):
    """A v2 infer request."""

    model_config = ConfigDict(extra="ignore")
    id: str = Field("", max_length=200)
    inputs: list[TensorIn] = Field(min_length=1)
    outputs: list[RequestedOutput] = Field(default_factory=list)


class TensorOut(BaseModel):
    """One output."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class InferResponse(BaseModel):
    """A v2 answer; `parameters.served_by` says who made it."""

    model_name: str
    model_version: str
    id: str
    parameters: dict[str, str]
    outputs: list[TensorOut]


def parse_infer(body: bytes, headers_announce_binary: str | None) -> InferRequest:
    """The request in `body`; raises Problem for anything else, and for the binary extension."""
    if headers_announce_binary is not None:
        raise Problem(400, "the binary tensor extension is not offered here: send the data as JSON (binary_data=False in tritonclient).")
    try:
        return InferRequest.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from error


def rows_of(request: InferRequest) -> list[Row]:
    """The tensors turned into rows, a field for each tensor; raises Problem when their lengths or shapes disagree."""
    columns = {tensor.name: _column(tensor) for tensor in request.inputs}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise Problem(422, f"the inputs have different numbers of rows: {lengths}. Send the same number for each.")
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def outputs_of(request: InferRequest, contract: ModelContract, predictions: Predictions) -> list[TensorOut]:
    """The answer's tensors, those that were asked for; raises Problem for an output that the contract lacks."""
    names = [output.name for output in contract.outputs]
    asked = [output.name for output in request.outputs] or names
    for name in asked:
        if name not in names:
            raise Problem(422, f"output {name!r} is not in the contract: ask for {', '.join(names)}.")
    return [
        TensorOut(name=name, shape=[len(predictions)], datatype="FP32", data=predictions[:, names.index(name)].tolist()) for name in asked
    ]


def metadata(contract: ModelContract, version: str) -> dict[str, object]:
    """The v2 metadata of the live model. In its parameters: unit, range, meaning, example of each input, and the most rows a request."""
    datatypes, example = {"number": "FP32", "category": "BYTES"}, contract.example()
    return {
        "name": contract.use_case,
        "versions": [version],
        "platform": "roundtrip_gateway",
        "parameters": {"most_rows": LARGEST_BATCH},
        "inputs": [
            {
                "name": entry.name,
                "datatype": datatypes[entry.kind],
                "shape": [-1],
                "parameters": {
                    "unit": entry.unit,
                    "meaning": entry.meaning,
                    "optional": entry.optional,
                    "minimum": entry.minimum,
                    "maximum": entry.maximum,
                    "example": example[entry.name],
                },
            }
            for entry in contract.inputs
        ],
        "outputs": [
            {"name": output.name, "datatype": "FP32", "shape": [-1], "parameters": {"unit": output.unit, "quantile": output.quantile}}
            for output in contract.outputs
        ],
    }


def _column(tensor: TensorIn) -> list[Datum]:
    flat: list[Datum] = []
    for entry in tensor.data:
        flat.extend(entry if isinstance(entry, list) else [entry])
    rows = tensor.shape[0]
    if tensor.shape[1:] not in ([], [1]) or len(flat) != rows:
        raise Problem(422, f"input {tensor.name!r} has shape {tensor.shape} and {len(flat)} values: send shape [{len(flat)}].")
    return flat
