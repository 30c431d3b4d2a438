"""Whether a port that the stack needs is free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from roundtrip.cli.stack.layout import SEAWEED_GRPC_OFFSET, Stack
from roundtrip.cli.stack.processes import descendants, holder_of_port, pids_listening
from roundtrip.cli.stack.records import recorded_processes
from roundtrip.contracts.errors import PortTaken


def check_ports(stack: Stack, names: Sequence[str]) -> None:
    """Raise PortTaken when something else than this stack holds one of the named ports."""
    if taken := ports_in_use(stack, names):
        raise PortTaken(f"{'; '.join(taken)}: stop that, or move the stack's ports, e.g. ROUNDTRIP_PORT_BASE=18000.")


def ports_in_use(stack: Stack, names: Sequence[str]) -> list[str]:
    """A text for each port that another program holds: which, for what, and by whom."""
    own = {pid for process in recorded_processes(stack) for pid in descendants(process.pid)}
    return [
        f"port {port} ({name}) is held by {holder}"
        for name in names
        for port in _numbers(stack, name)
        if (holder := holder_of_port(port)) and not pids_listening(port) & own
    ]


def _numbers(stack: Stack, name: str) -> Iterator[int]:
    yield stack.ports[name]
    if name.startswith("s3"):
        yield stack.ports[name] + SEAWEED_GRPC_OFFSET
