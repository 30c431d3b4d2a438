"""KServe's v2 inference protocol: one tensor for each input of the contract, [n] or [n, 1], and one for each output.

A tensor `key` or `event_month` (BYTES) names the rows for the prediction log, as the fields of :predict do. A tensor's values are in the
JSON, or, by the binary extension, after it.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from roundtrip.contracts.model_contract import ModelContract
from roundtrip.serving.gateway.binary_tensors import Datum, split_body, values_of
from roundtrip.serving.gateway.problems import Problem, invalid
from roundtrip.serving.tensors import Predictions
from roundtrip.serving.triton_repository import LARGEST_BATCH

TEXT_TENSORS = ("key", "event_month")
EXTENSIONS = ("binary_tensor_data",)

Row = dict[str, object]


class BinaryInput(BaseModel):
    """Of a tensor whose values are not in `data`."""

    binary_data_size: Annotated[int | None, Field(ge=0, description="Bytes of its values after the JSON.")] = None


class BinaryOutput(BaseModel):
    """Of an output."""

    binary_data: Annotated[bool | None, Field(description="Whether its values are to follow the JSON.")] = None


class BinaryOutputs(BaseModel):
    """Of a request."""

    binary_data_output: Annotated[bool, Field(description="The same for each output that says nothing itself.")] = False


class TensorIn(BaseModel):
    """One input: `data` row by row, null where a value is missing. The contract, not `datatype`, says what a value must be."""

    name: str
    shape: list[int] = Field(min_length=1, max_length=2)
    datatype: str
    data: list[Datum | list[Datum]] = Field(default_factory=list)
    parameters: BinaryInput = BinaryInput()


class RequestedOutput(BaseModel):
    """An output that the caller wants; without any, all are given."""

    name: str
    parameters: BinaryOutput = BinaryOutput()


class InferRequest(BaseModel):
    """A v2 infer request."""

    model_config = ConfigDict(extra="ignore")
    id: str = Field("", max_length=200)
    inputs: list[TensorIn] = Field(min_length=1)
    outputs: list[RequestedOutput] = Field(default_factory=list)
    parameters: BinaryOutputs = BinaryOutputs()


class TensorOut(BaseModel):
    """One output: its values in `data`, or `parameters.binary_data_size` bytes of them after the JSON."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float] | None = None
    parameters: BinaryInput | None = None


class InferResponse(BaseModel):
    """A v2 answer; `parameters.served_by` says who made it."""

    model_name: str
    model_version: str
    id: str
    parameters: dict[str, str]
    outputs: list[TensorOut]


def parse_infer(body: bytes, size_of_json: str | None) -> InferRequest:
    """The request in `body`, every tensor with its data; `size_of_json`: the header of the binary extension. Raises Problem."""
    text, contents = split_body(body, size_of_json)
    try:
        request = InferRequest.model_validate_json(text)
    except ValidationError as error:
        raise invalid(error) from error
    for tensor in request.inputs:
        size = tensor.parameters.binary_data_size
        if size is None:
            continue
        if tensor.data or size > len(contents):
            said = f"{len(tensor.data)} values in JSON, and {size} of {len(contents)} bytes after it"
            raise Problem(422, f"input {tensor.name!r} has {said}: send the one or the other.")
        tensor.data.extend(values_of(tensor.name, tensor.datatype, contents[:size]))
        contents = contents[size:]
    if contents:
        raise Problem(422, f"{len(contents)} bytes after the JSON belong to no input: name them in its parameters.binary_data_size.")
    return request


def rows_of(request: InferRequest) -> list[Row]:
    """The tensors turned into rows, a field for each tensor; raises Problem when their lengths or shapes disagree."""
    columns = {tensor.name: _column(tensor) for tensor in request.inputs}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise Problem(422, f"the inputs have different numbers of rows: {lengths}. Send the same number for each.")
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def outputs_of(request: InferRequest, contract: ModelContract, predictions: Predictions) -> tuple[list[TensorOut], bytes]:
    """The answer's tensors, those that were asked for, and the contents that follow the JSON.

    Raises Problem for an output that the contract lacks.
    """
    names = [output.name for output in contract.outputs]
    tensors, contents = [], []
    for wanted in request.outputs or [RequestedOutput(name=name) for name in names]:
        if wanted.name not in names:
            raise Problem(422, f"output {wanted.name!r} is not in the contract: ask for {', '.join(names)}.")
        values = np.ascontiguousarray(predictions[:, names.index(wanted.name)])
        tensor = TensorOut(name=wanted.name, shape=[len(values)], datatype="FP32")
        as_binary = wanted.parameters.binary_data
        if request.parameters.binary_data_output if as_binary is None else as_binary:
            tensor.parameters = BinaryInput(binary_data_size=values.nbytes)
            contents.append(values.tobytes())
        else:
            tensor.data = values.tolist()
        tensors.append(tensor)
    return tensors, b"".join(contents)


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
