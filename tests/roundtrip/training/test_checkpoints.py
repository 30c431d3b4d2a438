from pathlib import Path

import pytest

from roundtrip.training.checkpoints import commit, complete_epochs, newest_whole


def checkpoint(folder: Path, epoch: int) -> Path:
    """A committed checkpoint of two ranks."""
    partial = folder / f"epoch-{epoch:04d}.partial"
    partial.mkdir(parents=True)
    for rank in range(2):
        (partial / f"rank_{rank}.pt").write_bytes(f"weights of rank {rank} after epoch {epoch}".encode())
    whole = folder / f"epoch-{epoch:04d}"
    commit(partial, whole)
    return whole


def test_the_newest_committed_checkpoint_is_found(tmp_path: Path) -> None:
    for epoch in (9, 10, 2):
        checkpoint(tmp_path, epoch)
    assert complete_epochs(tmp_path) == [10, 9, 2]
    assert newest_whole(tmp_path) == 10


def test_nothing_is_found_before_the_first_commit(tmp_path: Path) -> None:
    (tmp_path / "epoch-0001.partial").mkdir()
    assert newest_whole(tmp_path) == 0
    assert newest_whole(tmp_path / "no such folder") == 0


def tear_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize(("name", "damage"), [("rank_1.pt", tear_off), ("rank_0.pt", Path.unlink), ("manifest.json", Path.unlink)])
def test_a_torn_checkpoint_is_named_and_the_one_before_it_loaded(
    tmp_path: Path, name: str, damage: object, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(tmp_path, 4)
    assert callable(damage)
    damage(checkpoint(tmp_path, 5) / name)
    assert newest_whole(tmp_path) == 4
    assert "damaged checkpoint of epoch 5" in capsys.readouterr().out
