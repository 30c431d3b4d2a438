"""The processes of one training run, as torchrun starts them. Light to import: nothing here loads torch."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from roundtrip.contracts.errors import BadNodes

_ONLY_RANK = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "GLOO_SOCKET_IFNAME": "lo"}
SHUTDOWN_S = 5
"""Seconds that torchrun gives the other ranks to end when one has failed; a stopped one must be killed, and nothing is lost with it."""

STORE = "ROUNDTRIP_RANKS_STORE"
"""Variable with the file by which the ranks of one machine find each other."""

_ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:(\d{1,5})")


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """The machines of one training, of which this is one."""

    count: int
    rank: int
    """Of this machine, from 0. Machine 0 has rank 0, which reads the store and reports to MLflow."""
    rendezvous: str
    """HOST:PORT of machine 0, where the others find it."""

    @classmethod
    def asked(cls, *, nodes: int | None, node_rank: int | None, rendezvous: str | None) -> Nodes | None:
        """The machines that a request asks for, None for this one alone, when it names nothing. Raises BadNodes."""
        if nodes is None and node_rank is None and rendezvous is None:
            return None
        given = {"--nodes": nodes, "--node-rank": node_rank, "--rendezvous": rendezvous}
        if nodes is None or node_rank is None or rendezvous is None:
            missing = ", ".join(option for option, value in given.items() if value is None)
            raise BadNodes(f"{missing} not given: to train over several machines give {', '.join(given)}; on one give none of them.")
        if nodes < 2:
            raise BadNodes(f"--nodes is {nodes} (2 at least): on one machine leave {', '.join(given)} out.")
        if not 0 <= node_rank < nodes:
            raise BadNodes(f"--node-rank is {node_rank} of --nodes {nodes} (0 to {nodes - 1}): number the machines from 0, each once.")
        address = _ADDRESS.fullmatch(rendezvous)
        if address is None or not 1024 <= int(address[2]) <= 65535:
            raise BadNodes(f"--rendezvous is {rendezvous!r}: give HOST:PORT of machine 0 with a free port from 1024 to 65535.")
        return cls(count=nodes, rank=node_rank, rendezvous=rendezvous)


def add_node_options(parser: argparse.ArgumentParser) -> None:
    """What `Nodes.asked` takes, as options of a command."""
    parser.add_argument("--nodes", type=int, help="machines that train together; run the command on each, with the two options that follow")
    parser.add_argument("--node-rank", type=int, help="number of this machine, from 0")
    parser.add_argument("--rendezvous", metavar="HOST:PORT", help="where machine 0 listens for the others")


def started_by_torchrun() -> bool:
    """Whether this process is one of torchrun's ranks."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """This process's number over all machines, from 0."""
    return int(os.environ["RANK"])


def world_size() -> int:
    """Ranks of this run."""
    return int(os.environ["WORLD_SIZE"])


def kept_waiting(error: Exception) -> bool:
    """Whether an error is that of a collective in which other ranks did not join in time (gloo says it in words only)."""
    return isinstance(error, RuntimeError) and "timed out" in str(error).lower()


@contextmanager
def only_rank() -> Iterator[None]:
    """The environment of a process that is rank 0 of 1, as torchrun would set it. Afterwards it is what it was before."""
    before = {name: os.environ.get(name) for name in _ONLY_RANK}
    os.environ.update(_ONLY_RANK)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def become_torchrun(module: str, arguments: Sequence[str], *, ranks: int, nodes: Nodes | None = None) -> None:
    """Replace this process by a torchrun that starts `module` `ranks` times on this machine, the only one or one of `nodes`.

    Does not return. It restarts nothing itself: a lost rank ends the run, and whoever runs the command again resumes it. One thread
    a rank, because more of them than cores only fight.
    """
    where, environment = _on_this_machine() if nodes is None else (_on_machines(nodes), {})
    torchrun = [sys.executable, "-m", "torch.distributed.run", *where, f"--shutdown-timeout={SHUTDOWN_S}"]
    started = [f"--nproc-per-node={ranks}", "-m", module, *arguments]
    os.execve(sys.executable, [*torchrun, *started], {"OMP_NUM_THREADS": "1"} | os.environ | environment)


def _on_this_machine() -> tuple[list[str], dict[str, str]]:
    """torchrun's options and variables. It and its ranks meet by files in memory: a port of it would be open on every interface."""
    torchruns, ranks_own = (f"/proc/{os.getpid()}/fd/{os.memfd_create('ranks', 0)}" for _ in range(2))
    options = ["--nnodes=1", "--rdzv-backend=c10d", "--rdzv-conf=store_type=file", f"--rdzv-endpoint={torchruns}"]
    listening = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    return options, {STORE: ranks_own, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", **listening}


def _on_machines(nodes: Nodes) -> list[str]:
    """torchrun's options. Machines are numbered by who starts them (static), so that rank 0 is where its store and MLflow are."""
    place = [f"--nnodes={nodes.count}", f"--node-rank={nodes.rank}"]
    return [*place, "--rdzv-backend=static", f"--rdzv-endpoint={nodes.rendezvous}"]
