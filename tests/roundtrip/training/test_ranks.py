import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from roundtrip.contracts.errors import BadNodes
from roundtrip.training.ranks import Nodes
from tests.roundtrip.training.joined_rank import RANKS

REPOSITORY = Path(__file__).parents[3]
RANK = """
import os, time
from roundtrip.contracts.end_with_parent import end_with_parent
end_with_parent()
print(os.getpid(), flush=True)
time.sleep(60)
"""
LAUNCHER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {RANK!r}], start_new_session=True)"


def gone(pid: int) -> bool:
    """No such process, or one that only waits to be buried."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_rank_in_its_own_session_ends_with_its_launcher_even_by_kill_9() -> None:
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    rank = int(launcher.stdout.readline())
    assert not gone(rank)
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.wait()
    deadline = time.monotonic() + 10
    while not gone(rank) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gone(rank)


def test_the_ranks_of_one_machine_listen_on_the_loopback_only() -> None:
    command = [sys.executable, "-m", "tests.roundtrip.training.joined_rank"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as launcher:
        try:
            assert launcher.stdout is not None
            assert [launcher.stdout.readline() for _ in range(RANKS)] == [f"{RANKS}\n"] * RANKS
            processes = [psutil.Process(launcher.pid), *psutil.Process(launcher.pid).children(recursive=True)]
            listening = [each.laddr.ip for process in processes for each in process.net_connections("inet") if each.status == "LISTEN"]
        finally:
            launcher.kill()
    assert len(processes) == 1 + RANKS
    assert set(listening) == {"127.0.0.1"}


def test_one_machine_is_asked_for_by_naming_none() -> None:
    assert Nodes.asked(nodes=None, node_rank=None, rendezvous=None) is None
    second = Nodes.asked(nodes=2, node_rank=1, rendezvous="trainer-0.example.org:29400")
    assert second == Nodes(count=2, rank=1, rendezvous="trainer-0.example.org:29400")


@pytest.mark.parametrize(
    ("nodes", "node_rank", "rendezvous", "said"),
    [
        (2, None, "10.0.0.1:29400", "--node-rank not given"),
        (None, 1, None, "--nodes, --rendezvous not given"),
        (1, 0, "10.0.0.1:29400", r"--nodes is 1 \(2 at least\)"),
        (2, 2, "10.0.0.1:29400", r"--node-rank is 2 of --nodes 2 \(0 to 1\)"),
        (2, -1, "10.0.0.1:29400", r"--node-rank is -1 of --nodes 2 \(0 to 1\)"),
        *(
            (2, 0, address, "--rendezvous is")
            for address in ("10.0.0.1", ":29400", "10.0.0.1:0", "10.0.0.1:99999", "a b:29400", "-a:29400", "")
        ),
    ],
)
def test_machines_that_can_not_meet_are_refused(nodes: int | None, node_rank: int | None, rendezvous: str | None, said: str) -> None:
    with pytest.raises(BadNodes, match=said):
        Nodes.asked(nodes=nodes, node_rank=node_rank, rendezvous=rendezvous)
