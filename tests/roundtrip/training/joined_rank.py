"""A rank that joins the others, tells what they sum up to, and stays until its launcher ends."""

from __future__ import annotations

import os
import sys
import time

import torch

from roundtrip.contracts.end_with_parent import end_with_parent
from roundtrip.contracts.use_cases import Recipe
from roundtrip.training.engine import connected_ranks
from roundtrip.training.ranks import become_torchrun, started_by_torchrun

RANKS = 2


def main() -> None:
    if not started_by_torchrun():
        become_torchrun("tests.roundtrip.training.joined_rank", [], ranks=RANKS)
    end_with_parent()
    with connected_ranks(Recipe()):
        ranks = torch.ones(1)
        torch.distributed.all_reduce(ranks)
        os.write(sys.stdout.fileno(), f"{int(ranks)}\n".encode())  # in one piece: the ranks share it
        time.sleep(60)


if __name__ == "__main__":
    main()
