"""Training over two hosts, one of which is cut off in mid-training: `make two-hosts`, as root.

Two network namespaces of this machine stand for the hosts, joined by a virtual cable (veth): two ranks run in each, and reach those of the
other host by the cable only. What they share is what two machines must share: the folder of the checkpoints. flight_eta's network is
trained on January 2013 by the command line of jobs.train_model (become_torchrun), on one host and on both. On both the cable is pulled:
the training must end, naming the ranks that are gone, within the recipe's limit. With the cable plugged in again it goes on from its
checkpoint, and must end with the bits of one host's four ranks. The result is committed as
benchmarks/results/two_hosts_<hardware>_<date>.json.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from benchmarks.keep_result import keep_result
from benchmarks.training.hosts import ADDRESSES, CABLE, Host, check_rights, joined_hosts
from benchmarks.training.trained import leave_rows
from benchmarks.training.year import labelled_year
from roundtrip.contracts import storage
from roundtrip.contracts.errors import RunFailed
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.training.checkpoints import complete_epochs
from roundtrip.training.ensemble import WEIGHTS_FILE
from use_cases.flight_eta.declaration import USE_CASE

TRAINING = "benchmarks.training.train_rank"
PORT = 29400
"""Of the rendezvous, on the first host."""
RANKS = 2
"""On each host."""
RECIPE = replace(USE_CASE.recipe, ranks=RANKS, epochs=8, rank_timeout_s=20.0)
"""A cut is noticed after rank_timeout_s; the real limit, 300 s, would only make this longer."""
PULLED_AFTER = 3
"""Epoch after which the cable is pulled: in the one that follows."""
HELD_OUT_FROM = datetime(2013, 1, 25, tzinfo=UTC)
LONGEST_S = 600
"""For a training, its start included. One that takes longer hangs."""


@dataclass(frozen=True, kw_only=True)
class CutOff:
    """What a host did when the cable was pulled."""

    host: int
    ranks: list[int]
    seconds: float
    """From the pull to the end of its torchrun."""
    exit_code: int
    said: list[str]
    """The errors of its ranks."""


def main() -> None:
    check_rights()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".roundtrip") as scratch, joined_hosts() as hosts:
        rows = labelled_year(Path(scratch), last="2013-01")
        alone = train_on_one_host(hosts[0], Path(scratch) / "one_host", rows)
        folder = Path(scratch) / "two_hosts"
        leave_rows(folder, *split(rows), RECIPE)
        cut_off = train_until_the_cable_is_pulled(hosts, folder)
        resumed = train_on_both(hosts, folder)
        both = storage.sha256((folder / "model" / WEIGHTS_FILE).as_uri())
    result = {
        "what": f"flight_eta's network on January 2013: two hosts of {RANKS} ranks, cut off in epoch {PULLED_AFTER + 1}, then resumed",
        "recipe": asdict(RECIPE),
        "cut_off": [asdict(found) for found in cut_off],
        "epochs_after_the_cut": resumed,
        "weights_sha256": {"one_host": alone, "two_hosts": both},
        "same_bits": alone == both,
    }
    show(cut_off, resumed, same=alone == both)
    print(f"kept as {keep_result('two_hosts', result)}")
    if alone != both:
        raise RunFailed(f"two hosts ended with weights {both}, one with {alone}: they must be the same bits.")


def split(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Training rows, and the month's last week."""
    moments = rows[USE_CASE.prediction_time]
    late = pc.greater_equal(moments, pa.scalar(HELD_OUT_FROM, type=moments.type))
    return rows.filter(pc.invert(late)), rows.filter(late)


def train_on_one_host(host: Host, folder: Path, rows: pa.Table) -> str:
    """All ranks on one host; gives the SHA-256 of the weights."""
    leave_rows(folder, *split(rows), replace(RECIPE, ranks=2 * RANKS))
    log = folder / "log"
    expect_success([host.start(TRAINING, str(folder), device="lo", log=log)], [log])
    print(f"one host, {2 * RANKS} ranks: {len(epochs_in(log))} epochs", flush=True)
    return storage.sha256((folder / "model" / WEIGHTS_FILE).as_uri())


def start_on_both(hosts: Sequence[Host], folder: Path, attempt: int) -> tuple[list[subprocess.Popen[bytes]], list[Path]]:
    logs = [folder / f"attempt-{attempt}-host-{place}" for place in range(len(hosts))]
    place = ("--nodes", str(len(hosts)), "--rendezvous", f"{ADDRESSES[0]}:{PORT}")
    running = [
        host.start(TRAINING, str(folder), *place, "--node-rank", str(number), device=CABLE, log=log)
        for number, (host, log) in enumerate(zip(hosts, logs, strict=True))
    ]
    return running, logs


def train_until_the_cable_is_pulled(hosts: Sequence[Host], folder: Path) -> list[CutOff]:
    """Pull the cable of the second host while both train; gives what each of them did then. Raises RunFailed when one of them hangs."""
    running, logs = start_on_both(hosts, folder, 1)
    deadline = time.monotonic() + LONGEST_S
    while PULLED_AFTER not in complete_epochs(folder / "checkpoints" / "network-0"):
        if any(process.poll() is not None for process in running) or time.monotonic() > deadline:
            raise RunFailed(f"two hosts did not come to epoch {PULLED_AFTER}:\n{tail(logs)}")
        time.sleep(0.05)
    hosts[1].ip("link", "set", CABLE, "down")
    pulled = time.monotonic()
    print(f"two hosts: the cable is pulled after epoch {PULLED_AFTER}", flush=True)
    ended: dict[int, float] = {}
    while len(ended) < len(running):
        ended |= {
            number: time.monotonic() - pulled
            for number, process in enumerate(running)
            if number not in ended and process.poll() is not None
        }
        if time.monotonic() > pulled + LONGEST_S:
            raise RunFailed(f"a host still trains {LONGEST_S} s after the cable was pulled:\n{tail(logs)}")
        time.sleep(0.05)
    hosts[1].ip("link", "set", CABLE, "up")
    return [
        CutOff(
            host=number,
            ranks=list(range(number * RANKS, (number + 1) * RANKS)),
            seconds=round(ended[number], 1),
            exit_code=process.returncode,
            said=errors_in(logs[number]),
        )
        for number, process in enumerate(running)
    ]


def train_on_both(hosts: Sequence[Host], folder: Path) -> list[int]:
    """Train to the end; gives the epochs that were trained."""
    running, logs = start_on_both(hosts, folder, 2)
    expect_success(running, logs)
    return epochs_in(logs[0])


def expect_success(running: Sequence[subprocess.Popen[bytes]], logs: Sequence[Path]) -> None:
    """Wait for all; raises RunFailed, with what they said, when one fails or takes longer than LONGEST_S."""
    deadline = time.monotonic() + LONGEST_S
    try:
        codes = [process.wait(max(deadline - time.monotonic(), 0)) for process in running]
    except subprocess.TimeoutExpired:
        raise RunFailed(f"a training takes longer than {LONGEST_S} s:\n{tail(logs)}") from None
    if any(codes):
        raise RunFailed(f"a training ended with {codes}:\n{tail(logs)}")


def epochs_in(log: Path) -> list[int]:
    return [int(number) for number in re.findall(r"^epoch (\d+)/", log.read_text(), re.MULTILINE)]


def errors_in(log: Path) -> list[str]:
    """The errors that the ranks ended with, each once."""
    found = re.findall(r"^(?:\[rank\d+\]: )?(?:[\w.]+\.)?(\w*(?:Error|RankLost|CheckpointFailed): .+)$", log.read_text(), re.MULTILINE)
    return list(dict.fromkeys(found))


def tail(logs: Sequence[Path]) -> str:
    return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-25:]) for log in logs)


def show(cut_off: Sequence[CutOff], resumed: Sequence[int], *, same: bool) -> None:
    table = Table("host", "ranks", "ended after", "exit code", "said")
    for found in cut_off:
        ranks = ", ".join(map(str, found.ranks))
        lost = [error.partition(" A rank")[0] for error in found.said if error.startswith("RankLost")]
        table.add_row(str(found.host), ranks, f"{found.seconds:.0f} s", str(found.exit_code), "\n".join(lost or found.said))
    console = Console(width=140, markup=False, highlight=False)
    console.print(f"The cable of host 1 pulled in epoch {PULLED_AFTER + 1} (limit: rank_timeout_s, {RECIPE.rank_timeout_s:.0f} s)")
    console.print(table)
    console.print(f"Plugged in again: trained epochs {resumed[0]} to {resumed[-1]} of {RECIPE.epochs}, and ended with", end=" ")
    console.print(f"{'the bits' if same else 'OTHER bits than those'} of one host's {2 * RANKS} ranks.")


if __name__ == "__main__":
    main()
