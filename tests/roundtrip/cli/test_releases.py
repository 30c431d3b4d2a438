"""What the command line says of releases, and refuses before it changes anything."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from roundtrip.cli.releases import document_shown, history_shown
from roundtrip.cli.stack.layout import Stack
from roundtrip.serving.release import HistoryEntry, Release, ReleasedVersion

LIVE = ReleasedVersion(version="3", digest="ab" * 32, triton_model="trips-1")
RELEASE = Release(use_case="trips", generation=7, live=LIVE)


def roundtrip(*words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    away = {"ROUNDTRIP_HOME": str(home), "ROUNDTRIP_PORT_BASE": "22000"} if home else {}
    argv = [sys.executable, "-m", "roundtrip.cli", *words]
    return subprocess.run(argv, env=os.environ | away, capture_output=True, text=True, check=False)


def test_the_document_is_shown_member_by_member() -> None:
    lines = document_shown(RELEASE).splitlines()
    assert lines == ["trips, generation 7", "      live: version 3 (digest abababababab…)", "  previous: none", " candidate: none"]


def test_a_candidate_is_shown_with_its_stage() -> None:
    canary = RELEASE.staged(LIVE).at("canary", share=25)
    assert document_shown(canary).splitlines()[-1] == " candidate: version 3 (digest abababababab…), canary with 25 % of the requests"
    assert document_shown(RELEASE.staged(LIVE)).splitlines()[-1].endswith(", staged")


def test_the_newest_change_stands_first_with_who_and_why() -> None:
    at = datetime(2013, 4, 1, 12, 30, tzinfo=UTC)
    entries = [HistoryEntry(number, "canary 25 %", str(number), "cd" * 32, f"ada@host{number}", f"[why] {number}", at) for number in (1, 2)]
    console = Console(file=io.StringIO(), width=80)
    console.print(history_shown(entries))
    assert isinstance(console.file, io.StringIO)
    _, newest, oldest, _, why, _ = console.file.getvalue().splitlines()
    assert newest.split() == ["2", "canary", "25", "%", "2", "2013-04-01", "12:30:00", "cdcdcdcdcdcd"]
    assert oldest.split()[0] == "1"
    assert why.split() == ["2", "ada@host2", "[why]", "2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["releases", "no_such_use_case"], "no use case 'no_such_use_case' is declared"),
        (["release", "flight_eta", "3"], "Missing option '--why'"),
        (["release", "flight_eta", "three", "--why", "x"], "Invalid value"),
        (["release", "flight_eta", "0", "--why", "x"], "Invalid value"),
        (["release", "flight_eta", "3", "--why", " "], "is no reason"),
        (["rollback", "flight_eta", "--why", "x" * 201], "is no reason"),
        (["rollback", "flight_eta"], "Missing option '--why'"),
    ],
)
def test_wrong_use_is_exit_code_2(tmp_path: Path, words: list[str], said: str) -> None:
    finished = roundtrip(*words, home=tmp_path)
    assert finished.returncode == 2
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["releases", "flight_eta"], "PostgreSQL does not answer"),
        (["rollback", "flight_eta", "--why", "x"], "PostgreSQL does not answer"),
        (["release", "flight_eta", "3", "--why", "x"], "MLflow at http://127.0.0.1:22500 does not list the versions"),
    ],
)
def test_a_service_that_is_away_is_named_with_exit_code_1(tmp_path: Path, words: list[str], said: str) -> None:
    finished = roundtrip(*words, home=tmp_path)
    assert finished.returncode == 1
    assert said in finished.stderr and "roundtrip status" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.stack
def test_a_version_that_is_not_registered_is_not_ordered(stack: Stack) -> None:
    finished = roundtrip("release", "flight_eta", "987654321", "--why", "a typing error")
    assert finished.returncode == 2
    assert "no version '987654321' of flight_eta is registered" in finished.stderr


@pytest.mark.stack
def test_the_history_is_printed_as_json(stack: Stack) -> None:
    finished = roundtrip("releases", "flight_eta", "--json")
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)
    assert told["use_case"] == "flight_eta"
    assert told["generation"] == len(told["history"])
