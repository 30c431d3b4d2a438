"""Definitions of tables for a bench that builds more rows than the real ones allow."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from roundtrip.lakehouse.definitions import SQL


def roomy_definitions(root: Path, *, most_rows: int, instead: Mapping[str, str]) -> Path:
    """A copy of sql/ in `root` whose checks allow `most_rows` a partition, and whose YAML says the values of `instead` for its keys."""
    shutil.copytree(SQL, root)
    for path in root.glob("*/*/*.yaml"):
        text = path.read_text()
        for real, roomy in instead.items():
            text = text.replace(real, roomy)
        path.write_text(re.sub(r"(table_row_count_to_be_between\n  min_value: \d+\n  max_value:) \d+", rf"\g<1> {most_rows}", text))
    return root
