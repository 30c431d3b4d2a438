"""Model versions as immutable folders: `<storage root>/models/<use case>/<version>/`, each file named by its SHA-256 in `manifest.json`.

The manifest is written last: a folder without one is not a version yet. Its own SHA-256 is the version's digest, which the
release document holds, so what serves is what was judged. Digests are checked at build, at fetch and at load.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from roundtrip.contracts import storage
from roundtrip.contracts.errors import DigestMismatch, UnknownModelVersion
from roundtrip.contracts.settings import settings

MANIFEST = "manifest.json"


def version_uri(use_case_name: str, version: str) -> str:
    """Where the version's files live."""
    return storage.join(settings().storage_root, "models", use_case_name, version)


def write_manifest(folder: Path) -> str:
    """Name every file of `folder` by its SHA-256 in manifest.json; gives the version's digest (SHA-256 of the manifest)."""
    files = {path.relative_to(folder).as_posix(): _sha256_of(path) for path in _files(folder)}
    content = json.dumps({"files": files}, indent=2, sort_keys=True).encode()
    (folder / MANIFEST).write_bytes(content)
    return _sha256(content)


def verify(folder: Path, *, digest: str | None = None) -> str:
    """The digest of the version in `folder`, after every file was found to be the one its manifest names.

    Raises DigestMismatch for a file that differs, is missing or is not in the manifest, or when `digest` is given and is another one.
    """
    content = (folder / MANIFEST).read_bytes()
    present = {path.relative_to(folder).as_posix(): _sha256_of(path) for path in _files(folder)}
    return _checked(folder.as_posix(), content, present, digest=digest)


def verify_published(use_case_name: str, version: str) -> str:
    """The digest of the version in the store, after every file there was found to be the one its manifest names.

    Raises UnknownModelVersion when it is not (wholly) there, DigestMismatch as `verify` does.
    """
    uri = version_uri(use_case_name, version)
    stored = {entry.uri.removeprefix(f"{uri}/"): entry.uri for entry in storage.list_objects(f"{uri}/")}
    manifest = stored.pop(MANIFEST, None)
    if manifest is None:
        raise UnknownModelVersion(
            f"version {version} of {use_case_name} is not published: {uri}/{MANIFEST} is not there. Clear compile_model in the run that "
            "registered it, or train anew."
        )
    return _checked(uri, storage.read_bytes(manifest), {name: storage.sha256(address) for name, address in stored.items()})


def publish(folder: Path, use_case_name: str, version: str) -> str:
    """Copy a verified folder to its place in the store, manifest last; gives the version's digest.

    Publishing the same content again changes nothing. Raises DigestMismatch when the version is there with other content.
    """
    digest = verify(folder)
    uri = version_uri(use_case_name, version)
    published = published_digest(use_case_name, version)
    if published is not None and published != digest:
        raise DigestMismatch(f"{uri} is published with digest {published}, this build has {digest}: register a new version.")
    for path in [*_files(folder), folder / MANIFEST]:
        storage.write_bytes(storage.join(uri, path.relative_to(folder).as_posix()), path.read_bytes())
    return digest


def published_digest(use_case_name: str, version: str) -> str | None:
    """The digest of the version in the store, None when it is not (wholly) there."""
    try:
        return _sha256(storage.read_bytes(storage.join(version_uri(use_case_name, version), MANIFEST)))
    except FileNotFoundError:
        return None


def fetch(use_case_name: str, version: str, *, digest: str | None = None) -> Path:
    """A local, verified copy of the version, under `<ROUNDTRIP_HOME>/models`; the store is asked only when there is none yet.

    A damaged local copy is replaced from the store. Raises DigestMismatch when the store's own copy does not verify,
    FileNotFoundError when the store has no such version.
    """
    place = settings().home_path / "models" / use_case_name / version
    if place.is_dir():
        try:
            verify(place, digest=digest)
            return place
        except (DigestMismatch, FileNotFoundError):
            shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fetch-") as scratch:
        download = Path(scratch) / version
        storage.download_folder(version_uri(use_case_name, version), download)
        verify(download, digest=digest)
        _move_unless_there(download, place)
    return place


_REMEDY = "don't serve it; compile the version again (`python -m jobs.compile_model`) under a new version number."


def _checked(place: str, manifest: bytes, present: Mapping[str, str], *, digest: str | None = None) -> str:
    """The manifest's digest, if it is `digest` and names just the files that are `present`, by their SHA-256."""
    found = _sha256(manifest)
    if digest is not None and found != digest:
        raise DigestMismatch(f"{place}: the manifest's SHA-256 is {found}, expected {digest}: {_REMEDY}")
    try:
        named: dict[str, str] = json.loads(manifest)["files"]
    except ValueError as error:
        raise DigestMismatch(f"{place}/{MANIFEST} is damaged ({error}): {_REMEDY}") from None
    for name in sorted(named.keys() | present.keys()):
        if named.get(name) != present.get(name):
            raise DigestMismatch(f"{place}/{name}: SHA-256 is {present.get(name)}, the manifest names {named.get(name)}: {_REMEDY}")
    return found


def _move_unless_there(download: Path, place: Path) -> None:
    try:
        download.rename(place)
    except OSError:
        verify(place)  # another process fetched it meanwhile


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
