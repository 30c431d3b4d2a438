"""Rows for `roundtrip predict` from JSON lines, CSV or Parquet, a part at a time: a file may be larger than memory."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import msgspec

from roundtrip.contracts.errors import BadFile

if TYPE_CHECKING:
    from roundtrip.serving.client import ServedContract

STDIN = Path("-")
FORMATS = ("jsonl", "csv", "parquet")
ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".parquet": "parquet"}

Row = dict[str, object]


def format_of(file: Path, named: str) -> str:
    """`named`, or what the file's ending says; JSON lines from standard input. Raises BadFile."""
    found = named or ("jsonl" if file == STDIN else ENDINGS.get(file.suffix.lower(), ""))
    if found not in FORMATS or (file == STDIN and found == "parquet"):
        raise BadFile(
            f"{file} is of no known format ({found or file.suffix!r}): give --format {', '.join(FORMATS)}; standard input takes no parquet."
        )
    return found


def rows_in(file: Path, form: str, contract: ServedContract, *, without: frozenset[str]) -> Iterator[list[Row]]:
    """The file's rows, at most as many at a time as one request takes, without the columns of `without`. Raises BadFile."""
    most = contract.parameters.most_rows
    parts = _parquet_parts(file, most) if form == "parquet" else _text_parts(file, form, contract, most)
    for part in parts:
        yield [{name: value for name, value in row.items() if name not in without} for row in part] if without else part


def number_of_rows(file: Path, form: str) -> int | None:
    """How many rows the file has, where it says so itself. Raises BadFile."""
    if form != "parquet":
        return None
    with _parquet_errors(file):
        import pyarrow.parquet as pq

        return int(pq.read_metadata(file).num_rows)


def number_or_text(text: str) -> float | str:
    """The number, or the text as it is: the contract's check names it."""
    try:
        return float(text)
    except ValueError:
        return text


def _parquet_parts(file: Path, most: int) -> Iterator[list[Row]]:
    import pyarrow.parquet as pq

    with _parquet_errors(file):
        batches = pq.ParquetFile(file).iter_batches(batch_size=most)
    while True:
        with _parquet_errors(file):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch.to_pylist()


@contextmanager
def _parquet_errors(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise BadFile(f"{file} can't be read as Parquet: {error}") from error


def _text_parts(file: Path, form: str, contract: ServedContract, most: int) -> Iterator[list[Row]]:
    with _opened(file) as lines:
        rows = _csv_rows(file, lines, contract) if form == "csv" else _json_rows(file, lines)
        while part := list(islice(rows, most)):
            yield part


def _json_rows(file: Path, lines: TextIO) -> Iterator[Row]:
    decode = msgspec.json.Decoder(Row).decode
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            try:
                yield decode(line)
            except msgspec.DecodeError as error:
                raise BadFile(f"{file}, line {number} is no JSON object: {error}. Write one row a line.") from error


def _csv_rows(file: Path, lines: TextIO, contract: ServedContract) -> Iterator[Row]:
    """The header names the columns; an empty value is missing; what the contract calls a number is read as one."""
    numbers = {entry.name for entry in contract.inputs if entry.is_number}
    reader = csv.DictReader(lines, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadFile(f"{file}, line {reader.line_num}: the row has not the header's {len(reader.fieldnames or ())} values.")
            yield {name: number_or_text(value) if name in numbers else value for name, value in row.items() if value != ""}
    except csv.Error as error:
        raise BadFile(f"{file}, line {reader.line_num} is no CSV: {error}.") from error


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    if file == STDIN:
        yield sys.stdin
        return
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield lines
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{file} can't be read: {error}.") from error
