import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server
from types import SimpleNamespace

import pytest

from roundtrip.contracts import openlineage_events
from roundtrip.contracts.errors import ServiceUnavailable
from roundtrip.contracts.receipts import TableVersion, job_parser, receipt_for

RAW = TableVersion("raw_flights", "s3://roundtrip/lakehouse/flight_eta/raw_flights", 7, 27000)
CLEAN = TableVersion("clean_flights", "s3://roundtrip/lakehouse/flight_eta/clean_flights", 3, 26900)
LANDED = "s3://roundtrip/landing/flight_eta/operations/2013-04/flights.csv"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of the test, in a process that tells."""
    monkeypatch.delenv("OPENLINEAGE_DISABLED")
    monkeypatch.setenv("ROUNDTRIP_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE__")]:  # the client sets some of its own
        del os.environ[name]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, object]]]:
    """An OpenLineage backend; gives what it was told."""
    told: list[dict[str, object]] = []

    class Lineage(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Lineage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_port}")
        yield told
        server.shutdown()


def run_job(run_folder: Path, *, failing: bool = False) -> None:
    request = job_parser("build_table", "").parse_args(["--use-case", "flight_eta", "--run-dir", f"file://{run_folder}"])
    with receipt_for(request, part="clean_flights.2013-04") as receipt:
        receipt.inputs, receipt.outputs, receipt.files = [RAW], [CLEAN], {LANDED: "ab" * 32}
        if failing:
            raise ServiceUnavailable("S3 is away")


def told_in(home: Path) -> list[SimpleNamespace]:
    lines = (home / "openlineage" / "events.jsonl").read_text().splitlines()
    return [json.loads(line, object_hook=lambda members: SimpleNamespace(**members)) for line in lines]


def test_a_job_tells_what_it_read_and_wrote_at_which_version(home: Path, tmp_path: Path) -> None:
    run_job(tmp_path / "runs" / "flight_eta.ingest" / "manual__1")
    start, end = told_in(home)
    assert (start.eventType, end.eventType) == ("START", "COMPLETE")
    assert str(start.eventTime) <= str(end.eventTime)
    assert start.run.runId == end.run.runId
    assert end.job.name == "flight_eta.build_table.clean_flights.2013-04"
    places = [(entry.namespace, entry.name, entry.facets.version.datasetVersion) for entry in end.inputs]
    assert places == [
        ("s3://roundtrip", "lakehouse/flight_eta/raw_flights", "7"),
        ("s3://roundtrip", "landing/flight_eta/operations/2013-04/flights.csv", "ab" * 32),
    ]
    (output,) = end.outputs
    assert (output.name, output.facets.version.datasetVersion) == ("lakehouse/flight_eta/clean_flights", "3")
    assert output.outputFacets.outputStatistics.rowCount == 26900


def test_jobs_of_a_dag_run_have_one_parent_and_an_attempt_is_a_run_of_its_own(home: Path, tmp_path: Path) -> None:
    for _ in range(2):
        run_job(tmp_path / "runs" / "flight_eta.ingest" / "manual__1")
    runs = [event.run for event in told_in(home) if event.eventType == "COMPLETE"]
    parents = [run.facets.parent for run in runs]
    assert runs[0].runId != runs[1].runId
    assert parents[0] == parents[1]
    assert parents[0].job.name == "flight_eta.ingest"


def test_a_failure_is_told_with_its_reason(home: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run_job(tmp_path / "runs" / "flight_eta.ingest" / "manual__1", failing=True)
    end = told_in(home)[-1]
    assert end.eventType == "FAIL"
    assert end.run.facets.errorMessage.message == "ServiceUnavailable: S3 is away"


def test_openlineages_own_settings_name_the_backend(home: Path, tmp_path: Path, backend: list[dict[str, object]]) -> None:
    run_job(tmp_path / "runs" / "flight_eta.ingest" / "manual__1")
    assert [event["eventType"] for event in backend] == ["START", "COMPLETE"]
    assert not (home / "openlineage").exists()


def test_a_backend_that_never_answers_fails_no_job(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(openlineage_events, "LONGEST_WAIT_S", 0.2)
    with create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        run_job(tmp_path)
    assert (tmp_path / "receipts" / "build_table.clean_flights.2013-04.json").exists()
    assert "did not answer in 0.2 s" in caplog.text


def test_settings_that_make_no_sense_fail_no_job(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "pigeon")
    run_job(tmp_path)
    assert (tmp_path / "receipts" / "build_table.clean_flights.2013-04.json").exists()
    assert "correct them, or set OPENLINEAGE_DISABLED=true" in caplog.text
