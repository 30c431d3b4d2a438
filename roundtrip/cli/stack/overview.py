"""How each service is right now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rich.table import Table

from roundtrip.cli.stack import supervisor
from roundtrip.cli.stack.layout import HOST, Stack
from roundtrip.cli.stack.lifecycle import memory_of
from roundtrip.cli.stack.records import recorded
from roundtrip.cli.stack.services import SERVICES, Service
from roundtrip.contracts.errors import ServiceUnavailable


@dataclass(frozen=True)
class Row:
    """One service."""

    service: str
    state: str
    """Supervisor's word for the process: RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL; DOWN when supervisor is."""
    ready: bool
    """Whether its probe was answered just now."""
    reason: str
    """Why it is not ready; empty when it is."""
    pid: int | None
    address: str
    memory_mib: float | None


def look(stack: Stack) -> list[Row]:
    """Probe every service, all at once."""
    states = _states(stack)
    with ThreadPoolExecutor(max_workers=len(SERVICES)) as threads:
        return list(threads.map(lambda service: _look_at(stack, service, states.get(service.name, "DOWN")), SERVICES))


def table(rows: list[Row]) -> Table:
    """The rows as `status` prints them."""
    shown = Table("service", "state", "ready", "pid", "address", "MiB", box=None)
    for row in rows:
        ready = "[green]yes[/]" if row.ready else "[red]no[/]"
        shown.add_row(row.service, row.state, ready, str(row.pid or ""), row.address, f"{row.memory_mib or 0:.0f}")
    shown.add_section()
    shown.add_row("all", "", "", "", "", f"{sum(row.memory_mib or 0 for row in rows):.0f}")
    return shown


def _states(stack: Stack) -> dict[str, str]:
    try:
        with supervisor.connected(stack) as api:
            return {str(info["name"]): str(info["statename"]) for info in api.getAllProcessInfo()}
    except ServiceUnavailable:
        return {}


def _look_at(stack: Stack, service: Service, state: str) -> Row:
    reason = _why_not_ready(stack, service) if state in ("STARTING", "RUNNING") else "not running"
    process = recorded(stack, service.name)
    pid = process.pid if process is not None and process.alive() else None
    address = f"{HOST}:{stack.ports[service.ports[0]]}" if service.ports else ""
    return Row(service.name, state, not reason, reason, pid, address, memory_of(stack, service.name))


def _why_not_ready(stack: Stack, service: Service) -> str:
    try:
        service.ready(stack)
    except ServiceUnavailable as error:
        return str(error)
    return ""
