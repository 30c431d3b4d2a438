"""Two hosts on one machine: network namespaces joined by a virtual cable (veth), which can be pulled. Needs root and iproute2."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from roundtrip.contracts.errors import RunFailed
from roundtrip.contracts.settings import REPOSITORY

ADDRESSES = ("10.211.77.1", "10.211.77.2")
"""In namespaces of their own: they clash with nothing outside."""
CABLE = "cable"
"""The network device's name on both hosts."""


@dataclass(frozen=True)
class Host:
    """A network namespace, by its name."""

    name: str
    address: str
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def ip(self, *arguments: str) -> None:
        ip("-n", self.name, *arguments)

    def start(self, module: str, *arguments: str, device: str, log: Path) -> subprocess.Popen[bytes]:
        """Run a Python module on this host, what it says into `log`.

        gloo is told its device: by the host's name, which is the machine's, it would look for an address that is not here.
        """
        command = ["ip", "netns", "exec", self.name, sys.executable, "-m", module, *arguments]
        variables = os.environ | {"GLOO_SOCKET_IFNAME": device}
        with log.open("wb") as said:
            running = subprocess.Popen(
                command, cwd=REPOSITORY, env=variables, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.started.append(running)
        return running

    def remove(self) -> None:
        """What was started on it, what else runs in it, and the namespace; its end of the cable goes with it."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False).stdout
        for pid in map(int, listed.split()):
            with suppress(ProcessLookupError):  # torchrun's ranks end with it
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)


def check_rights() -> None:
    """End with the remedy where network namespaces can't be made."""
    if shutil.which("ip") is None:
        sys.exit("no `ip` on the PATH, which makes the two hosts: apt-get install iproute2")
    if os.geteuid() != 0:
        sys.exit(f"network namespaces are root's, this is user {os.geteuid()}: run `make two-hosts` as root, in a container for instance.")


@contextmanager
def joined_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts and the cable between them. They are removed in the end, with all that runs in them."""
    first, second = (Host(f"roundtrip-{os.getpid()}-{place}", address) for place, address in enumerate(ADDRESSES))
    try:
        for host in (first, second):
            ip("netns", "add", host.name)
        ip("link", "add", CABLE, "netns", first.name, "type", "veth", "peer", "name", CABLE, "netns", second.name)
        for host in (first, second):
            host.ip("address", "add", f"{host.address}/30", "dev", CABLE)
            for device in ("lo", CABLE):
                host.ip("link", "set", device, "up")
        yield first, second
    finally:
        for host in (first, second):
            host.remove()


def ip(*arguments: str) -> None:
    """Run iproute2's `ip`; raises RunFailed with what it said."""
    finished = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise RunFailed(f"`ip {' '.join(arguments)}` ended with {finished.returncode}: {finished.stderr.strip()}")
