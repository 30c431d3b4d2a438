"""Where alerts go: each channel is an Airflow Connection, and one that is not there is a channel that nobody wants.

A channel that fails never fails the task: what it said stands in the log, and the other channel gets the message all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import httpx
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

log = logging.getLogger(__name__)

WEBHOOK, EMAIL = "roundtrip_alerts_webhook", "roundtrip_alerts_email"
"""Ids of the Connections (docs/page.md, "Alerts")."""
WITHIN_S = 10.0
"""Seconds that a webhook has: its task waits meanwhile."""
_UNDELIVERED = 'The alert %r did not get through to Connection %s: see docs/page.md, "Alerts".'


@dataclass(frozen=True, kw_only=True)
class Message:
    """An alert: what happened, with value and limit, and where to read on."""

    title: str
    told: str
    links: Mapping[str, str] = field(default_factory=dict)
    """Title → address; the runbook's among them."""

    @property
    def text(self) -> str:
        """All of it as plain text."""
        return "\n".join([self.title, self.told, *(f"{title}: {address}" for title, address in self.links.items())])

    @property
    def html(self) -> str:
        links = "".join(f'<li><a href="{escape(address)}">{escape(title)}</a></li>' for title, address in self.links.items())
        return f"<h1>{escape(self.title)}</h1><p>{escape(self.told)}</p><ul>{links}</ul>"


def send(message: Message) -> None:
    """Send to every channel there is, from a task's process."""
    for connection_id in (WEBHOOK, EMAIL):
        try:
            connection = Connection.get(connection_id)
            if connection_id == WEBHOOK:
                _delivered(httpx.post(address_of(connection), json=payload_of(message), timeout=WITHIN_S))
            else:
                _email(message, connection).notify({})
        except AirflowNotFoundException:
            continue
        except Exception:
            log.exception(_UNDELIVERED, message.title, connection_id)


async def send_from_triggerer(message: Message) -> None:
    """The same, where Connections are only to be had without blocking."""
    for connection_id in (WEBHOOK, EMAIL):
        try:
            connection = await Connection.async_get(connection_id)
            if connection_id == WEBHOOK:
                async with httpx.AsyncClient(timeout=WITHIN_S) as client:
                    _delivered(await client.post(address_of(connection), json=payload_of(message)))
            else:
                await _email(message, connection).async_notify({})
        except AirflowNotFoundException:
            continue
        except Exception:
            log.exception(_UNDELIVERED, message.title, connection_id)


def payload_of(message: Message) -> dict[str, str]:
    """The one form that Slack, Mattermost, Google Chat and Teams take, and a receiver of one's own."""
    return {"text": message.text}


def address_of(connection: Connection) -> str:
    """The host, an address with its scheme or one to be put together; the password, if any, is the secret end of its path."""
    host = connection.host or ""
    if "://" not in host:
        port = f":{connection.port}" if connection.port else ""
        host = f"{connection.schema or 'https'}://{host}{port}"
    return f"{host.rstrip('/')}/{connection.password.lstrip('/')}" if connection.password else host


def _email(message: Message, connection: Connection) -> SmtpNotifier:
    """To whom the Connection's extra `to` names; sent by `from_email`, which it names too."""
    to = connection.extra_dejson.get("to")
    if not to:
        raise ValueError(f'Connection {EMAIL} names nobody: put {{"to": "a@b.c", "from_email": …}} into its extra.')
    return SmtpNotifier(to=to, subject=message.title, html_content=message.html, smtp_conn_id=EMAIL)


def _delivered(answer: httpx.Response) -> None:
    """Raises for an answer that is none of success. Its address holds a secret: it is not told."""
    if not answer.is_success:
        raise ConnectionError(f"the webhook answers {answer.status_code}: {answer.text[:200]}")
