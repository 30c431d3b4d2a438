import json
import stat
from pathlib import Path

from roundtrip.cli.stack.credentials import load_credentials, write_private


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_only_the_owner_can_read_the_credentials(tmp_path: Path) -> None:
    load_credentials(tmp_path)
    assert mode(tmp_path / "secrets" / "credentials.json") == "0o600"
    assert mode(tmp_path / "secrets") == "0o700"


def test_credentials_are_generated_once(tmp_path: Path) -> None:
    assert load_credentials(tmp_path) == load_credentials(tmp_path)


def test_two_stacks_share_no_credential(tmp_path: Path) -> None:
    one, other = (json.loads(path.read_text()) for path in _saved(tmp_path / "one", tmp_path / "other"))
    assert not set(one.values()) & set(other.values())


def test_a_credential_that_a_newer_version_needs_is_added_and_the_others_stay(tmp_path: Path) -> None:
    (path,) = _saved(tmp_path)
    before = json.loads(path.read_text())
    del before["gateway_key"]
    write_private(path, json.dumps(before))
    after = load_credentials(tmp_path)
    assert after.gateway_key
    assert after.postgres_password == before["postgres_password"]


def test_no_credential_is_in_the_repr(tmp_path: Path) -> None:
    credentials = load_credentials(tmp_path)
    (path,) = _saved(tmp_path)
    assert not [value for value in json.loads(path.read_text()).values() if value in repr(credentials)]


def test_a_private_file_replaces_a_public_one(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), mode(path)) == ("new", "0o600")


def _saved(*homes: Path) -> list[Path]:
    for home in homes:
        load_credentials(home)
    return [home / "secrets" / "credentials.json" for home in homes]
