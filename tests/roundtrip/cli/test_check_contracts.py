import subprocess
from pathlib import Path

import pytest

from roundtrip.cli.check_contracts import faults_against, is_checkout
from roundtrip.contracts.errors import UnknownRef

SCHEMA = """grain: one trip
key: [trip]
columns:
  trip: {type: string, unit: key, meaning: names it}
  minutes: {type: int, unit: min, meaning: taken}
"""


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository whose only commit, tagged `released`, holds one table; the project is a folder inside of it."""
    folder = tmp_path / "project"
    write(folder, SCHEMA)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    git(tmp_path, "tag", "released")
    return folder


def write(folder: Path, content: str, table: str = "raw_trips") -> Path:
    path = folder / "sql" / "trips" / table / "schema.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_a_breaking_change_is_a_fault_at_its_line(checkout: Path) -> None:
    assert list(faults_against("HEAD", checkout)) == []
    write(checkout, SCHEMA.replace("type: int", "type: string"))
    (fault,) = faults_against("HEAD", checkout)
    assert fault.startswith("sql/trips/raw_trips/schema.yaml:5: column minutes was int, which is not always string (HEAD).")
    assert "raise `version:`" in fault


def test_an_older_state_is_compared_by_its_name(checkout: Path) -> None:
    write(checkout, SCHEMA.replace("unit: min", "unit: h"))
    git(checkout, "commit", "--quiet", "--all", "--message", "second")
    assert list(faults_against("HEAD", checkout)) == []
    assert ["was in min" in fault for fault in faults_against("released", checkout)] == [True]


def test_a_new_table_passes_and_one_that_is_gone_does_not(checkout: Path) -> None:
    write(checkout, SCHEMA, table="clean_trips")
    assert list(faults_against("HEAD", checkout)) == []
    (checkout / "sql/trips/raw_trips/schema.yaml").unlink()
    (fault,) = faults_against("HEAD", checkout)
    assert fault.startswith("sql/trips/raw_trips/schema.yaml:1: the table is gone")


def test_a_schema_that_can_not_be_read_is_named_with_its_line(checkout: Path) -> None:
    write(checkout, SCHEMA.replace("{type: int", "{type: float"))
    (fault,) = faults_against("HEAD", checkout)
    assert fault.startswith("sql/trips/raw_trips/schema.yaml:5: columns.minutes.type")


@pytest.mark.parametrize("ref", ["no_such_branch", "--output=stolen", ""])
def test_a_ref_that_git_does_not_know_is_refused(checkout: Path, ref: str) -> None:
    with pytest.raises(UnknownRef, match="name a branch, tag or commit"):
        list(faults_against(ref, checkout))
    assert not (checkout / "stolen").exists()


def test_outside_a_checkout_there_is_nothing_to_compare_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write(tmp_path, SCHEMA)
    assert not is_checkout(tmp_path)
    with pytest.raises(UnknownRef):
        list(faults_against("HEAD", tmp_path))
