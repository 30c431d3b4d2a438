"""No prediction that was answered is missing from the log, whatever happens to the gateway or the store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from roundtrip.contracts.settings import REPOSITORY, settings
from roundtrip.serving.gateway.app import create_app
from roundtrip.serving.gateway.metrics import Metrics
from roundtrip.serving.gateway.prediction_log import PredictionLog
from tests.roundtrip.serving.gateway_process import KEY
from tests.roundtrip.serving.tiny_version import ROW


def stored_lines(store: Path) -> list[str]:
    return [line for path in sorted((store / "prediction_log" / "eta").glob("*.jsonl")) for line in path.read_text().splitlines()]


def open_log(folder: Path) -> PredictionLog:
    return PredictionLog(folder / "spool", f"file://{folder}/store", Metrics())


def test_closed_segments_reach_the_store_and_leave_the_spool(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append("eta", b'{"n":1}\n{"n":2}\n')
    log.close_segments()
    log.append("eta", b'{"n":3}\n')
    log.upload()
    assert stored_lines(tmp_path / "store") == ['{"n":1}', '{"n":2}']
    assert [path.suffix for path in (tmp_path / "spool" / "eta").iterdir()] == [".open"]


def test_a_store_that_is_away_delays_lines_and_loses_none(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    (tmp_path / "store").write_text("a file where the store's folder should be")
    for number in (1, 2):
        log.append("eta", b'{"n":%d}\n' % number)
        log.close_segments()
        log.upload()
    (tmp_path / "store").unlink()
    log.upload()
    assert sorted(stored_lines(tmp_path / "store")) == ['{"n":1}', '{"n":2}']


def test_an_upload_that_is_repeated_stores_each_line_once(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append("eta", b'{"n":1}\n')
    log.close_segments()
    (segment,) = (tmp_path / "spool" / "eta").glob("*.jsonl")
    content = segment.read_bytes()
    log.upload()
    segment.write_bytes(content)  # as after a kill between the upload and the removal
    log.upload()
    assert stored_lines(tmp_path / "store") == ['{"n":1}']


def test_lines_of_a_killed_process_are_uploaded_by_the_next_one_without_its_torn_line(tmp_path: Path) -> None:
    writer = (
        "import os, pathlib, sys, time\n"
        "from roundtrip.serving.gateway.metrics import Metrics\n"
        "from roundtrip.serving.gateway.prediction_log import PredictionLog\n"
        f"log = PredictionLog(pathlib.Path({str(tmp_path / 'spool')!r}), '', Metrics())\n"
        'log.append("eta", b\'{"n":1}\\n{"n":2}\\n\')\n'
        'log.append("eta", b\'{"n":\')\n'
        "print('written', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", writer], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGKILL)
    open_log(tmp_path).upload()
    assert stored_lines(tmp_path / "store") == ['{"n":1}', '{"n":2}']


@pytest.mark.usefixtures("remembered_release")
def test_an_answered_row_is_in_the_store_once_the_gateway_stopped(home: Path) -> None:
    row = ROW | {"key": "UA-1", "event_month": "2013-04"}
    with TestClient(create_app(settings()), headers={"X-API-Key": KEY}) as client:
        deadline = time.monotonic() + 20
        while not (
            answer := client.post("/v1/models/tiny:predict", json={"instances": [row]}, headers={"X-Request-ID": "trip-7"})
        ).is_success:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.05)
    (file,) = (home.parent / "store" / "prediction_log" / "tiny").glob("*.jsonl")
    (line,) = [json.loads(text) for text in file.read_text().splitlines()]
    assert (line["key"], line["event_month"], line["request_id"], line["model_version"]) == ("UA-1", "2013-04", "trip-7", "1")
    assert line["inputs"] == ROW
    assert line["outputs"] == {name: answer.json()["predictions"][0][name] for name in ("late", "late_p10", "late_p90")}
    assert not list((home / "gateway" / "spool").glob("*/*"))
