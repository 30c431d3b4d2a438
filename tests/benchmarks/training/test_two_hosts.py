from pathlib import Path

from benchmarks.training.two_hosts import errors_in


def test_what_the_ranks_ended_with_is_found_once_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "epoch 1/2\n[rank0]: Traceback (most recent call last):\n[rank0]: RuntimeError: Timed out\n"
        "[rank0]: roundtrip.contracts.errors.RankLost: [Rank 0]: Ranks 2, 3 failed\n"
        "roundtrip.contracts.errors.RankLost: [Rank 0]: Ranks 2, 3 failed\n"
    )
    assert errors_in(log) == ["RuntimeError: Timed out", "RankLost: [Rank 0]: Ranks 2, 3 failed"]
