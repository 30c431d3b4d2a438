"""Objects by URI: s3://bucket/key, or file:///folder/file in unit tests. boto3 is imported on first use, not by DAG files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import urlsplit
from uuid import uuid4

from roundtrip.contracts.errors import BadName, ServiceUnavailable, StoreUnsafe

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PIECE_BYTES = 1 << 20
"""Read at a time where an object is not needed whole."""
_PARTIAL = ".roundtrip_partial"
"""End of the name of a file that is still being written."""
_CONFLICTS_AT_MOST = 10
"""Tries of a conditional put: AWS answers 409, not 412, while another one of the same key is under way, and wants to be asked again."""


@dataclass(frozen=True)
class StoredObject:
    """An object found by `list_objects`: its URI, size in bytes and entity tag (a content hash on S3, time and size on disk)."""

    uri: str
    size: int
    etag: str
    changed_at: datetime


@cache
def s3_client() -> S3Client:
    """One client a process; address and credentials come from AWS_* (settings.py).

    Its session is its own: boto3's default one would keep the first credentials that it found, when the cache here is cleared.
    """
    import boto3
    from botocore.config import Config

    # the waits before a new attempt are 1, 2, 4 … 20 s, each cut at random: 12 attempts outlast a minute without the store
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 12, "mode": "standard"})
    return boto3.session.Session().client("s3", config=config)


def join(uri: str, *parts: str) -> str:
    """`uri` with path parts appended by single slashes."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def read_bytes(uri: str) -> bytes:
    """The object's content; raises FileNotFoundError when there is none."""
    bucket, key = _split(uri)
    if bucket is None:
        return Path(key).read_bytes()
    client = s3_client()
    try:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except client.exceptions.NoSuchKey:
        raise FileNotFoundError(uri) from None


@contextmanager
def opened(uri: str) -> Iterator[BinaryIO]:
    """The object's content as a stream that is read as it is used; raises FileNotFoundError when there is none."""
    bucket, key = _split(uri)
    if bucket is None:
        with Path(key).open("rb") as file:
            yield file
        return
    client = s3_client()
    try:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
    except client.exceptions.NoSuchKey:
        raise FileNotFoundError(uri) from None
    with closing(body):
        yield BufferedReader(cast(RawIOBase, body), _PIECE_BYTES)


def sha256(uri: str) -> str:
    """SHA-256 of the object's content, read in pieces; raises FileNotFoundError when there is none."""
    digest = hashlib.sha256()
    with opened(uri) as content:
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def write_bytes(uri: str, content: bytes) -> None:
    """Write the object whole: a reader sees the old content or the new one, never a part."""
    bucket, key = _split(uri)
    if bucket is None:
        path = Path(key)
        _partial_file(path, content).replace(path)
    else:
        s3_client().put_object(Bucket=bucket, Key=key, Body=content)


def create_bytes(uri: str, content: bytes) -> bool:
    """Write the object whole if there is none of that URI; gives whether it was written. Of any number of callers one is told so.

    Raises ServiceUnavailable when the store can't say which one, time and again.
    """
    bucket, key = _split(uri)
    if bucket is None:
        return _create_file(Path(key), content)
    from botocore.exceptions import ClientError

    for _ in range(_CONFLICTS_AT_MOST):
        try:
            s3_client().put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")
            return True
        except ClientError as error:
            answer = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if answer == HTTPStatus.PRECONDITION_FAILED:
                return False
            if answer != HTTPStatus.CONFLICT:
                raise
    raise ServiceUnavailable(f"{uri}: {_CONFLICTS_AT_MOST} times somebody else was writing it at the same moment: try again.")


def check_conditional_put(uri: str, client: S3Client) -> None:
    """Put an object below `uri` (s3://) twice, on the condition that it is not there; raises StoreUnsafe unless the second put is refused.

    Where it is not, two writers may both be told that they wrote the same version of a table, and one's rows are lost.
    """
    from botocore.exceptions import ClientError

    bucket, key = _split(join(uri, f"conditional_put_{uuid4().hex}"))
    assert bucket is not None  # an S3 client is of no use elsewhere
    try:
        for _ in range(2):
            client.put_object(Bucket=bucket, Key=key, Body=b"", IfNoneMatch="*")
        answer = HTTPStatus.OK
    except ClientError as error:
        answer = HTTPStatus(error.response["ResponseMetadata"]["HTTPStatusCode"])
        if answer not in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.NOT_IMPLEMENTED):
            raise
    finally:
        client.delete_object(Bucket=bucket, Key=key)
    if answer != HTTPStatus.PRECONDITION_FAILED:
        raise StoreUnsafe(
            f"{uri} answered {answer.value} to the second PUT of one key with If-None-Match: *, expected 412: two writers of a table could "
            "lose rows there. Use a store with conditional puts: AWS S3, MinIO, or SeaweedFS as `make setup` installs it."
        )


def delete(uri: str) -> None:
    """Remove the object; one that is not there is no error."""
    bucket, key = _split(uri)
    if bucket is None:
        Path(key).unlink(missing_ok=True)
    else:
        s3_client().delete_object(Bucket=bucket, Key=key)


def exists(uri: str) -> bool:
    """Whether an object of exactly this URI is there."""
    return any(found.uri == uri for found in list_objects(uri))


def list_objects(prefix: str) -> Iterator[StoredObject]:
    """Every object whose URI starts with `prefix`, sorted by URI."""
    bucket, key = _split(prefix)
    if bucket is None:
        yield from _list_files(prefix, key)
        return
    for page in s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
        for entry in page.get("Contents", []):
            yield StoredObject(f"s3://{bucket}/{entry['Key']}", entry["Size"], entry["ETag"].strip('"'), entry["LastModified"])


def upload_folder(folder: Path, uri: str) -> None:
    """Copy every file below `folder` to the same relative place below `uri`."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            write_bytes(join(uri, path.relative_to(folder).as_posix()), path.read_bytes())


def download_folder(uri: str, folder: Path) -> None:
    """Copy every object below `uri` to the same relative place below `folder`; raises FileNotFoundError for an empty one."""
    found = list(list_objects(uri.rstrip("/") + "/"))
    if not found:
        raise FileNotFoundError(uri)
    for entry in found:
        path = folder / entry.uri[len(uri.rstrip("/")) + 1 :]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read_bytes(entry.uri))


def _split(uri: str) -> tuple[str | None, str]:
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        return parts.netloc, parts.path.lstrip("/")
    if parts.scheme == "file" and not parts.netloc:
        return None, parts.path
    raise BadName(f"{uri!r} is no storage address: use s3://bucket/key or file:///folder/file.")


def _partial_file(path: Path, content: bytes) -> Path:
    """The content in a file of this call alone beside `path`, which list_objects passes over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex}{_PARTIAL}")
    partial.write_bytes(content)
    return partial


def _create_file(path: Path, content: bytes) -> bool:
    partial = _partial_file(path, content)
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        return False
    finally:
        partial.unlink()
    return True


def _list_files(prefix: str, path: str) -> Iterator[StoredObject]:
    root = Path(path) if prefix.endswith("/") else Path(path).parent
    files = sorted(p for p in root.rglob("*") if p.is_file() and str(p).startswith(path)) if root.is_dir() else []
    for file in files:
        if file.name.endswith(_PARTIAL):
            continue
        try:
            status = file.stat()
        except FileNotFoundError:  # removed since it was found
            continue
        changed_at = datetime.fromtimestamp(status.st_mtime, UTC)
        yield StoredObject(f"file://{file}", status.st_size, f"{status.st_mtime_ns}-{status.st_size}", changed_at)
