"""A landed file: which one it is, its content as it lies or unzipped, and whether it is still the one that was found."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import BinaryIO, cast

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadFile, FileReplaced

FORMATS = ("csv", "csv.gz", "jsonl", "jsonl.gz", "parquet")
"""What may follow a source's name."""


@dataclass(frozen=True)
class SourceFile:
    """A landed file as it was when it was found."""

    uri: str
    etag: str
    size: int
    """Bytes, zipped when it is zipped."""

    @property
    def format(self) -> str:
        """csv, jsonl or parquet."""
        return self.uri.removesuffix(".gz").rsplit(".", 1)[1]

    @contextmanager
    def unzipped(self) -> Iterator[BinaryIO]:
        """The content as a stream, unzipped when it is zipped; raises BadFile when that can't be done to the end."""
        try:
            with storage.opened(self.uri) as stored:
                yield cast(BinaryIO, BufferedReader(gzip.GzipFile(fileobj=stored), 1 << 20)) if self.uri.endswith(".gz") else stored
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadFile(f"{self.uri} is no gzip file, or not all of one ({error}): deliver it again.") from None

    def check_unchanged(self) -> None:
        """Raises FileReplaced when another file, or none, is at the address by now."""
        now = next((found.etag for found in storage.list_objects(self.uri) if found.uri == self.uri), "none")
        if now != self.etag:
            remedy = "this try is given up, the next one reads what lies there then."
            raise FileReplaced(f"{self.uri} changed while it was read (entity tag {self.etag}, then {now}): {remedy}")
