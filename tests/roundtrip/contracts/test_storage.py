import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadName, StoreUnsafe
from roundtrip.contracts.settings import settings


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
    with pytest.raises(FileNotFoundError), storage.opened(uri):
        pass
    with pytest.raises(FileNotFoundError):
        storage.download_folder(uri, tmp_path / "back")


def create_twenty_times(uri: str) -> None:
    with ThreadPoolExecutor(max_workers=20) as pool:
        told = list(pool.map(lambda number: storage.create_bytes(uri, str(number).encode()), range(20)))
    assert sum(told) == 1
    assert storage.read_bytes(uri) == str(told.index(True)).encode()
    assert [found.uri for found in storage.list_objects(uri)] == [uri]


def test_a_file_that_many_write_is_listed_whole_or_not_at_all(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/deep/record"

    def write_and_list(number: int) -> list[tuple[str, int]]:
        storage.write_bytes(uri, str(number).encode() * 1000)
        return [(found.uri, found.size) for found in storage.list_objects(f"file://{tmp_path}/")]

    with ThreadPoolExecutor(max_workers=9) as pool:
        seen = list(pool.map(write_and_list, [number % 9 for number in range(900)]))
    assert seen == [[(uri, 1000)]] * 900


def test_of_many_who_create_a_file_at_the_same_time_one_does(tmp_path: Path) -> None:
    create_twenty_times(f"file://{tmp_path}/deep/claim")


def test_of_many_who_create_an_object_at_the_same_time_one_does(stack: Stack) -> None:
    assert stack.home.is_dir()
    uri = storage.join(settings().storage_root, "tests", uuid4().hex)
    create_twenty_times(uri)
    storage.delete(uri)


@pytest.mark.parametrize("uri", ["relative/path", "http://host/x", "s3:///key", "file://host/x"])
def test_an_address_of_no_known_form_is_refused(uri: str) -> None:
    with pytest.raises(BadName, match="s3://bucket/key"):
        storage.read_bytes(uri)


class ForgetfulStore(BaseHTTPRequestHandler):
    """S3's PUT and DELETE, by a store that does not know If-None-Match."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_DELETE(self) -> None:
        self.send_response(204)
        self.end_headers()


def test_a_store_that_overwrites_whatever_one_asks_is_refused() -> None:
    with HTTPServer(("127.0.0.1", 0), ForgetfulStore) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = boto3.session.Session().client(
            "s3", endpoint_url=f"http://127.0.0.1:{server.server_port}", region_name="us-east-1",
            aws_access_key_id="x", aws_secret_access_key="x", config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
        with pytest.raises(StoreUnsafe, match=r"s3://bucket answered 200 to the second PUT .* If-None-Match: \*, expected 412"):
            storage.check_conditional_put("s3://bucket", client)
        server.shutdown()


def test_the_stacks_own_store_is_safe(stack: Stack) -> None:
    before = list(storage.list_objects(f"{stack.storage_root}/conditional_put_"))
    storage.check_conditional_put(stack.storage_root, storage.s3_client())
    assert list(storage.list_objects(f"{stack.storage_root}/conditional_put_")) == before == []
