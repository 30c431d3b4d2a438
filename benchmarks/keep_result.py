"""Where a bench keeps what it measured."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from roundtrip.contracts.receipts import code_commit
from roundtrip.contracts.settings import REPOSITORY


def keep_result(bench: str, result: Mapping[str, object]) -> str:
    """Write benchmarks/results/<bench>_<hardware>_<date>.json, with the machine and the code's commit; gives its path in the repository."""
    measured = {**result, "machine": f"{os.cpu_count()} cores, {platform.machine()}", "code_commit": code_commit()}
    path = Path(__file__).parent / "results" / f"{bench}_{os.cpu_count()}cores_{datetime.now(UTC):%Y-%m-%d}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(measured, indent=2) + "\n")
    return str(path.relative_to(REPOSITORY))
