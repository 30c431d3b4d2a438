"""The binary tensor extension of KServe's v2 protocol: the contents of tensors after the JSON, in which their sizes are.

It is what tritonclient sends unless it is told not to (`binary_data=False`).
"""

from __future__ import annotations

import struct

import numpy as np
from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype

from roundtrip.serving.gateway.problems import Problem

Datum = float | int | str | bool | None
HEADER = "Inference-Header-Content-Length"
"""Bytes of the body that are JSON; what follows are the tensors' contents, in the order of the JSON."""


def split_body(body: bytes, announced: str | None) -> tuple[bytes, bytes]:
    """The JSON of a body and the contents after it; raises Problem 400 when the header is no such number."""
    if announced is None:
        return body, b""
    if not announced.isascii() or not announced.isdecimal() or int(announced) > len(body):
        raise Problem(400, f"{HEADER} is {announced[:40]!r}, of a body of {len(body)} bytes: send the number of those that are JSON.")
    size = int(announced)
    return body[:size], body[size:]


def values_of(name: str, datatype: str, content: bytes) -> list[Datum]:
    """The values of a tensor, one after the other; NaN is a missing value. Raises Problem 422 for a content that is none of its type."""
    try:
        if datatype == "BYTES":
            return [value.decode() for value in deserialize_bytes_tensor(content)]
        kind = triton_to_np_dtype(datatype)
        if kind is None:
            raise ValueError("that is no datatype of the protocol")
        values: list[Datum] = np.frombuffer(content, dtype=kind).astype(np.float64).tolist()
    except (ValueError, struct.error) as error:  # a ValueError is numpy's, and that of text that is no UTF-8
        raise Problem(422, f"input {name!r}: its {len(content)} bytes are no {datatype[:20]} tensor: {error}.") from error
    return [None if value != value else value for value in values]
