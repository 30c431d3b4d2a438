"""Where the stack lives: its home folder, its ports and its credentials."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roundtrip.cli.stack.credentials import Credentials, load_credentials
from roundtrip.contracts.errors import BadPort
from roundtrip.contracts.settings import REPOSITORY, settings

BUCKET = "roundtrip"
HOST = "127.0.0.1"

DEFAULT_PORTS = {
    "postgres": 17432,
    "s3": 17333,
    "s3_master": 17334,
    "s3_volume": 17335,
    "s3_filer": 17336,
    "mlflow": 17500,
    "airflow": 17080,
    "spark": 17002,
    "triton_http": 17800,
    "triton_grpc": 17801,
    "triton_metrics": 17802,
    "gateway": 17900,
}
"""Below 32768, where no outgoing connection takes them first. ROUNDTRIP_PORT_<NAME> changes one; `up` remembers it."""

SEAWEED_GRPC_OFFSET = 10_000
"""SeaweedFS serves gRPC on each of its ports plus this, so these stay below 55536."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One embedded stack: all its state is under `home`."""

    home: Path
    ports: Mapping[str, int]
    credentials: Credentials

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
    """The stack of ROUNDTRIP_HOME (default `.roundtrip`); credentials are generated the first time."""
    home = settings().home_path.resolve()
    home.mkdir(parents=True, exist_ok=True)
    return Stack(home=home, ports=chosen_ports(home, os.environ), credentials=load_credentials(home))


def chosen_ports(home: Path, environment: Mapping[str, str]) -> dict[str, int]:
    """Each port: from ROUNDTRIP_PORT_<NAME>, else the one saved by the last `up`, else the default. Raises BadPort."""
    saved = json.loads(_ports_file(home).read_text()) if _ports_file(home).exists() else {}
    return {name: _checked_port(name, environment.get(_variable(name), saved.get(name, default))) for name, default in DEFAULT_PORTS.items()}


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


def _checked_port(name: str, value: str | int) -> int:
    highest = 65_535 - (SEAWEED_GRPC_OFFSET if name.startswith("s3") else 0)
    if not str(value).isdecimal() or not 1024 <= int(value) <= highest:
        raise BadPort(f"{_variable(name)}={value} is no port from 1024 to {highest}: unset it, or give a free one.")
    return int(value)
