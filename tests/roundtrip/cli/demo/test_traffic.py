"""The record of requests: it adds up over several runs of the demo, and a line cut off by a kill costs that line only."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from roundtrip.cli.demo.traffic import Traffic, recorded_counts


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def traffic_to_nobody(record: Path) -> Traffic:
    return Traffic(url=f"http://127.0.0.1:{free_port()}", key="secret-key", use_case_name="flight_eta", record=record)


def test_without_a_record_nothing_was_sent(tmp_path: Path) -> None:
    counts = recorded_counts(tmp_path / "requests.jsonl")
    assert (counts.sent, counts.failed, dict(counts.answers), counts.months) == (0, 0, {}, set())


def test_counts_add_up_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    record = tmp_path / "requests.jsonl"
    record.write_text(
        '{"at": "t", "sent": 5, "failed": 0, "answers": {"1": 5}}\n'
        '{"at": "t", "sent": 3, "failed": 1, "answers": {"1": 1, "2": 1}, "failure": "503", "month": "2013-04"}\n'
        '{"at": "t", "sent": 9, "fai'
    )
    counts = recorded_counts(record)
    assert (counts.sent, counts.failed, dict(counts.answers), counts.first_failure) == (8, 1, {"1": 6, "2": 1}, "503")
    assert counts.months == {"2013-04"}


def test_requests_that_nobody_answers_are_counted_as_failed_and_kept(tmp_path: Path) -> None:
    record = tmp_path / "requests.jsonl"
    with traffic_to_nobody(record) as traffic:
        assert not traffic.can_be_answered()
        traffic.trickle([{"origin": "JFK"}])
        traffic.send_sample("2013-04", [{"origin": "JFK"}, {"origin": "LGA"}])
        deadline = time.monotonic() + 5
        while traffic.counts.sent < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
    kept = recorded_counts(record)
    assert kept.sent == kept.failed == traffic.counts.sent >= 4
    assert kept.months == {"2013-04"}
    assert "ConnectError" in kept.first_failure
    assert "secret-key" not in record.read_text()
