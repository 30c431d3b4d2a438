import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from roundtrip.contracts.errors import UnknownModelVersion
from roundtrip.registry.version_folder import version_uri
from roundtrip.training.experiment import released_snapshot, sources_sha256
from tests.roundtrip.training.tiny import TINY, TINY_SNAPSHOT

Cells = list[dict[str, object]]
CELLS: Cells = [
    {"cell_type": "markdown", "source": ["# Look\n", "closely"], "metadata": {}},
    {"cell_type": "code", "source": ["1 + 1"], "metadata": {}, "outputs": [], "execution_count": None},
]


def digest(folder: Path, cells: Cells) -> str:
    notebook = folder / "a.ipynb"
    notebook.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return sources_sha256(notebook)


def test_what_a_notebook_puts_out_is_no_change_of_it(tmp_path: Path) -> None:
    ran = [CELLS[0], {**CELLS[1], "outputs": [{"output_type": "stream", "name": "stdout", "text": "2"}], "execution_count": 7}]
    assert digest(tmp_path, ran) == digest(tmp_path, CELLS)


@pytest.mark.parametrize(
    "change", [lambda cells: [cells[0], {**cells[1], "source": ["1 + 2"]}], lambda cells: cells[::-1], lambda cells: cells[1:]]
)
def test_every_change_of_a_cell_shows(change: Callable[[Cells], Cells], tmp_path: Path) -> None:
    assert digest(tmp_path, change(CELLS)) != digest(tmp_path, CELLS)


@pytest.mark.usefixtures("storage_root")
def test_the_newest_released_snapshot_is_looked_at_unless_a_version_is_named() -> None:
    for version in ("9", "10"):
        replace(TINY_SNAPSHOT, features_version=int(version)).save(version_uri(TINY.name, version))
    assert released_snapshot(TINY).features_version == 10
    assert released_snapshot(TINY, version="9").features_version == 9


@pytest.mark.usefixtures("storage_root")
def test_before_the_first_release_the_ways_to_a_snapshot_are_named() -> None:
    with pytest.raises(UnknownModelVersion, match=r"there: none.*tiny\.train_and_release.*take_snapshot"):
        released_snapshot(TINY)
