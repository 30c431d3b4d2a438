"""Where the stack lives: its home folder, its ports and its credentials."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from roundtrip.cli.stack.credentials import Credentials, load_credentials
from roundtrip.contracts.errors import BadPort
from roundtrip.contracts.settings import REPOSITORY, settings

BUCKET = "roundtrip"
HOST = "127.0.0.1"

PORT_BASE = 17_000
"""Ports below 32768 are never taken by an outgoing connection. ROUNDTRIP_PORT_BASE moves all, so that two stacks fit on one machine."""

PORT_OFFSETS = {
    "postgres": 432,
    "s3": 333,
    "s3_master": 334,
    "s3_volume": 335,
    "s3_filer": 336,
    "mlflow": 500,
    "airflow": 80,
    "spark": 2,
    "triton_http": 800,
    "triton_grpc": 801,
    "triton_metrics": 802,
    "gateway": 900,
}
"""Each port, counted from the base. ROUNDTRIP_PORT_<NAME> gives one; `up` remembers what it was given."""

SEAWEED_GRPC_OFFSET = 10_000
"""SeaweedFS serves gRPC on each of its ports plus this, so these stay below 55536."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One embedded stack: all its state is under `home`."""

    home: Path
    ports: Mapping[str, int]

    @cached_property
    def credentials(self) -> Credentials:
        """Generated and saved when they are first asked for."""
        return load_credentials(self.home)

    @property
    def storage_root(self) -> str:
        return f"s3://{BUCKET}"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Process ids, supervisor's configuration and socket."""
        return self.home / "run"

    def url(self, port: str) -> str:
        return f"http://{HOST}:{self.ports[port]}"

    def log_of(self, service: str) -> Path:
        return self.logs / f"{service}.log"


def load_stack() -> Stack:
    """The stack of ROUNDTRIP_HOME (default `.roundtrip`), with the ports that this shell or the last `up` chose."""
    home = settings().home_path.resolve()
    return Stack(home=home, ports=chosen_ports(home, os.environ))


def chosen_ports(home: Path, environment: Mapping[str, str]) -> dict[str, int]:
    """Each port: ROUNDTRIP_PORT_<NAME>, else from ROUNDTRIP_PORT_BASE, else as the last `up` saved it, else the default. Raises BadPort."""
    saved = json.loads(_ports_file(home).read_text()) if _ports_file(home).exists() else {}
    base = environment.get("ROUNDTRIP_PORT_BASE")
    if base is not None or not saved:
        start = _checked_port("ROUNDTRIP_PORT_BASE", base or PORT_BASE, highest=65_535 - SEAWEED_GRPC_OFFSET - 1_000)
        saved = {name: start + offset for name, offset in PORT_OFFSETS.items()}
    return {name: _port(name, environment.get(_variable(name), saved[name])) for name in PORT_OFFSETS}


def save_ports(stack: Stack) -> None:
    """Remember the ports, so that `status` and `down` in another shell find the same stack."""
    _ports_file(stack.home).write_text(json.dumps(dict(stack.ports), indent=2))


def program(name: str) -> Path:
    """An executable of the environment that this command runs in."""
    return Path(sys.prefix) / "bin" / name


def repository_path(*parts: str) -> Path:
    return REPOSITORY.joinpath(*parts)


def _ports_file(home: Path) -> Path:
    return home / "ports.json"


def _variable(name: str) -> str:
    return f"ROUNDTRIP_PORT_{name.upper()}"


def _port(name: str, value: str | int) -> int:
    return _checked_port(_variable(name), value, highest=65_535 - (SEAWEED_GRPC_OFFSET if name.startswith("s3") else 0))


def _checked_port(variable: str, value: str | int, *, highest: int) -> int:
    if not str(value).isdecimal() or not 1024 <= int(value) <= highest:
        raise BadPort(f"{variable}={value} is no port from 1024 to {highest}: unset it, or give a free one.")
    return int(value)
