"""A model version is what its manifest says, or it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from roundtrip.contracts.errors import DigestMismatch, UnknownModelVersion
from roundtrip.registry.version_folder import MANIFEST, fetch, publish, published_digest, verify, verify_published, write_manifest


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built version, not published yet, with a home and a store of the test's own."""
    monkeypatch.setenv("ROUNDTRIP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", f"file://{tmp_path}/store")
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "contract.json").write_bytes(b"{}")
    write_manifest(folder)
    return folder


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def test_a_published_version_is_fetched_as_it_was_built(version: Path) -> None:
    digest = publish(version, "eta", "1")
    assert published_digest("eta", "1") == digest
    assert (fetch("eta", "1", digest=digest) / "model.onnx").read_bytes() == b"graph"


@pytest.mark.parametrize("change", ["flip", "remove", "add"])
def test_a_changed_missing_or_added_file_is_named_with_its_digest(version: Path, change: str) -> None:
    if change == "flip":
        flip_a_bit(version / "model.onnx")
    elif change == "remove":
        (version / "model.onnx").unlink()
    else:
        (version / "extra.py").write_text("print()")
    with pytest.raises(
        DigestMismatch, match="extra.py" if change == "add" else r"model\.onnx: SHA-256 is .*, the manifest names [0-9a-f]{64}"
    ):
        verify(version)


def test_a_bit_that_flips_in_the_store_is_refused_at_fetch(version: Path, tmp_path: Path) -> None:
    publish(version, "eta", "1")
    flip_a_bit(tmp_path / "store" / "models" / "eta" / "1" / "model.onnx")
    with pytest.raises(DigestMismatch, match=r"model\.onnx"):
        fetch("eta", "1")
    assert not (tmp_path / "home" / "models" / "eta" / "1").exists()


def test_a_forged_manifest_is_refused_by_the_digest_that_was_released(version: Path, tmp_path: Path) -> None:
    digest = publish(version, "eta", "1")
    stored = tmp_path / "store" / "models" / "eta" / "1"
    flip_a_bit(stored / "model.onnx")
    write_manifest(stored)
    fetch("eta", "1")  # consistent in itself
    with pytest.raises(DigestMismatch, match=digest):
        fetch("eta", "1", digest=digest)


def test_a_damaged_local_copy_is_replaced_from_the_store(version: Path) -> None:
    digest = publish(version, "eta", "1")
    flip_a_bit(fetch("eta", "1") / "model.onnx")
    assert verify(fetch("eta", "1", digest=digest)) == digest


def test_a_local_copy_needs_no_store(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = publish(version, "eta", "1")
    first = fetch("eta", "1", digest=digest)
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", "file:///nowhere")
    assert fetch("eta", "1", digest=digest) == first


def test_the_store_s_copy_is_judged_by_itself_whatever_the_local_one_is(version: Path, tmp_path: Path) -> None:
    digest = publish(version, "eta", "1")
    assert verify_published("eta", "1") == digest
    fetch("eta", "1")
    stored = tmp_path / "store" / "models" / "eta" / "1"
    flip_a_bit(stored / "contract.json")
    with pytest.raises(DigestMismatch, match=r"store/models/eta/1/contract\.json: SHA-256 is .*, the manifest names"):
        verify_published("eta", "1")
    (stored / MANIFEST).unlink()
    with pytest.raises(UnknownModelVersion, match=r"version 1 of eta is not published: .*manifest\.json is not there"):
        verify_published("eta", "1")


def test_publishing_the_same_twice_changes_nothing_and_other_content_is_refused(version: Path) -> None:
    digest = publish(version, "eta", "1")
    assert publish(version, "eta", "1") == digest
    (version / "model.onnx").write_bytes(b"another graph")
    write_manifest(version)
    with pytest.raises(DigestMismatch, match="register a new version"):
        publish(version, "eta", "1")
    assert published_digest("eta", "1") == digest


def test_a_folder_whose_upload_broke_off_is_not_a_version_and_is_completed(version: Path, tmp_path: Path) -> None:
    stored = tmp_path / "store" / "models" / "eta" / "1"
    stored.mkdir(parents=True)
    (stored / "model.onnx").write_bytes(b"half")
    assert published_digest("eta", "1") is None
    digest = publish(version, "eta", "1")
    assert verify(stored) == digest
