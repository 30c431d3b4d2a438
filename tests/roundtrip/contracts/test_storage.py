from pathlib import Path

import pytest

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadName


def test_folders_survive_the_round_trip(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a.bin").write_bytes(b"\0\xff")
    (source / "b.txt").write_text("b")
    storage.upload_folder(source, f"file://{tmp_path}/stored")
    storage.download_folder(f"file://{tmp_path}/stored", tmp_path / "back")
    assert {p.relative_to(tmp_path / "back").as_posix(): p.read_bytes() for p in (tmp_path / "back").rglob("*") if p.is_file()} == {
        "deep/a.bin": b"\0\xff",
        "b.txt": b"b",
    }


def test_listing_takes_a_prefix_and_sorts(tmp_path: Path) -> None:
    for name in ("landing/b", "landing/a", "landings"):
        storage.write_bytes(f"file://{tmp_path}/{name}", b"")
    assert [found.uri.rsplit("/", 1)[1] for found in storage.list_objects(f"file://{tmp_path}/landing/")] == ["a", "b"]
    assert len(list(storage.list_objects(f"file://{tmp_path}/landing"))) == 3


def test_what_is_not_there_is_said_so(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/nothing"
    assert not storage.exists(uri)
    storage.delete(uri)
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(uri)
    with pytest.raises(FileNotFoundError):
        storage.download_folder(uri, tmp_path / "back")


@pytest.mark.parametrize("uri", ["relative/path", "http://host/x", "s3:///key", "file://host/x"])
def test_an_address_of_no_known_form_is_refused(uri: str) -> None:
    with pytest.raises(BadName, match="s3://bucket/key"):
        storage.read_bytes(uri)
