"""Alerts that a real Airflow sends over a real socket, and what each says."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from email import message_from_string

import pytest
from airflow.sdk import Connection

from operators.alert_channels import Message, address_of, send_from_triggerer
from operators.alerts import message_of_rollback, message_of_verdict
from operators.deadlines import warn_of_missed_deadline
from plugins.pages.runbook import RUNBOOK, anchor_of
from roundtrip.contracts.receipts import Figure
from roundtrip.contracts.settings import REPOSITORY
from tests.operators.conftest import Ran
from tests.operators.receivers import MailServer, Webhook, connections, receiving

DECIDED: dict[str, Figure] = {"action": "hold", "reasons": ["Cooldown: 0 of 1 partitions passed."]}
PERFORMANCE: Figure = {"mae": 12.94, "baseline_mae": 14.12, "skill": 0.084, "skill_at_release": 0.21, "loss": 0.12}


@pytest.fixture(autouse=True)
def _addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_AIRFLOW_URL", "http://airflow")
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", "file:///nowhere")


def measured(verdict: str, **more: Figure) -> dict[str, Figure]:
    return {"verdict": verdict, "model_version": "1", "outcomes": 27_000, "performance": PERFORMANCE, **more}


def verdict_of(figures: dict[str, Figure], decided: dict[str, Figure] = DECIDED) -> Message | None:
    return message_of_verdict("flight_eta", "2013-06", measured=figures, decided=decided)


def test_a_task_that_ends_as_an_alert_waits_for_reaches_the_webhook_and_the_mailbox(ran: Ran, received: tuple[Webhook, MailServer]) -> None:
    assert ran["flight_eta.alerting"]["state"] == "failed"
    webhook, mail = received
    texts = sorted(body["text"] for _, body in webhook.got)
    assert {path for path, _ in webhook.got} == {"/services/T/B/a-secret-token"}
    decayed, failed, back = texts
    assert failed.startswith("flight_eta.alerting, task fail failed\nChecksFailed: 2 of 41 checks failed")
    assert decayed.startswith(
        "flight_eta 2013-06: the model decayed\nVersion 1: MAE 12.94, baseline 14.12, skill 0.084 (0.210 at its release)"
    )
    assert "Budget spent: 4 of 4 retrains. No retrain was asked for." in decayed
    assert back.startswith("flight_eta: version 4 was rolled back\n") and "Version 3 serves." in back
    assert all("Runbook: http://airflow/roundtrip/runbook#" in text and "Run: http://airflow/dags/" in text for text in texts)
    subjects = sorted(str(message_from_string(content)["Subject"]) for _, content in mail.got)
    assert subjects == [text.partition("\n")[0] for text in texts]
    assert {tuple(recipients) for recipients, _ in mail.got} == {("team@example.org",)}


def test_where_no_connection_is_defined_nothing_is_sent_and_nothing_fails(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert asyncio.run(warned()).startswith("flight_eta.ingest is later than its deadline")
    assert caplog.records == []


async def warned() -> str:
    return await warn_of_missed_deadline(context={"dag_run": {"dag_id": "flight_eta.ingest", "dag_run_id": "r+1"}})


def test_a_missed_deadline_is_told_from_the_triggerer(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as (webhook, mail):
        defined(monkeypatch, webhook, mail)
        asyncio.run(warned())
    ((_, body),) = webhook.got
    assert body["text"].startswith("flight_eta.ingest is late\n")
    assert "Run: http://airflow/dags/flight_eta.ingest/runs/r%2B1" in body["text"]
    assert len(mail.got) == 1


def test_a_channel_that_fails_is_said_in_the_log_without_its_secret_and_the_other_one_is_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving() as (webhook, mail), caplog.at_level(logging.INFO):
        defined(monkeypatch, webhook, mail, path="/broken")
        asyncio.run(send_from_triggerer(Message(title="A title", told="what happened")))
    assert len(webhook.got) == len(mail.got) == 1
    assert "did not get through to Connection roundtrip_alerts_webhook" in caplog.text and "500" in caplog.text
    assert "a-secret-token" not in caplog.text


def defined(monkeypatch: pytest.MonkeyPatch, webhook: Webhook, mail: MailServer, path: str = "/hook") -> None:
    for name, value in connections(webhook, mail, path=path).items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(value))


@pytest.mark.parametrize("verdict", ["stable", "watch", "unknown"])
def test_a_month_that_did_not_decay_is_no_alert(verdict: str) -> None:
    assert verdict_of(measured(verdict)) is None


def test_broken_data_is_told_as_such_whatever_the_verdict() -> None:
    for figures, decided in (
        (measured("unknown", performance=None, inputs_broken=["pressure_hpa"]), DECIDED),
        (measured("decayed"), {**DECIDED, "cause": "bad data"}),
    ):
        message = verdict_of(figures, decided)
        assert message is not None and message.title == "flight_eta 2013-06: data is broken"
        assert message.links["Runbook"].endswith("#a-month-whose-data-is-broken")


def test_a_retrain_that_was_asked_for_is_told_with_the_verdict() -> None:
    message = verdict_of(measured("decayed"), {"action": "retrain", "reasons": ["12.6 points lost (limit 3.0)."]})
    assert message is not None and message.told.endswith("12.6 points lost (limit 3.0). A retrain was asked for.")


def test_a_rollback_says_who_asked_for_it_or_that_a_step_failed() -> None:
    asked = message_of_rollback("flight_eta", {"version": "2", "live_version": None}, asked="errors doubled")
    assert asked.told == "Asked for: errors doubled. No version serves."
    failed = message_of_rollback("flight_eta", {"version": "2", "live_version": "1"}, asked="")
    assert "A step of its release failed" in failed.told and "Version 1 serves." in failed.told


def test_markup_in_a_message_is_text_in_the_mail() -> None:
    message = Message(title="<b>", told="a < b", links={"Run": 'http://x/"><script>'})
    assert "<b>" not in message.html and "a &lt; b" in message.html and "<script>" not in message.html


@pytest.mark.parametrize(
    ("connection", "address"),
    [
        ({"host": "https://hooks.slack.com", "password": "services/T/B/x"}, "https://hooks.slack.com/services/T/B/x"),
        ({"host": "https://hooks.slack.com/services/", "password": "/T/B/x"}, "https://hooks.slack.com/services/T/B/x"),
        ({"host": "http://receiver:8000/alerts"}, "http://receiver:8000/alerts"),
        ({"host": "receiver", "schema": "http", "port": 8000, "password": "x"}, "http://receiver:8000/x"),
        ({"host": "receiver"}, "https://receiver"),
    ],
)
def test_a_webhooks_address_is_its_host_and_the_secret_end_of_its_path(connection: dict[str, object], address: str) -> None:
    assert address_of(Connection(conn_id="x", conn_type="http", **connection)) == address  # type: ignore[arg-type]


def test_every_section_of_the_runbook_that_an_alert_links_is_there() -> None:
    sections = {anchor_of(line.lstrip("# ")) for line in RUNBOOK.read_text().splitlines() if line.startswith("#")}
    sources = "".join(path.read_text() for path in (REPOSITORY / "operators").glob("*.py"))
    linked = set(re.findall(r'"(an?-[a-z-]+)"', sources))
    assert len(linked) == 5 and linked <= sections
