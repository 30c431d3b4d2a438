"""The Evidently report: one file, no network, and no crash on the columns that Evidently itself refuses."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pyarrow as pa

from roundtrip.contracts.use_cases import Input
from roundtrip.monitoring.evidently_report import drift_report

COLUMNS = (
    Input(name="delay", kind="number", unit="min", meaning=""),
    Input(name="ceiling_feet", kind="number", unit="mi", meaning=""),
    Input(name="carrier", kind="category", unit="code", meaning=""),
)


def flights(rows: int, shift: float) -> pa.Table:
    draw = np.random.default_rng(1)
    return pa.table(
        {
            "delay": draw.exponential(30, rows) + shift,
            "ceiling_feet": pa.nulls(rows, pa.float64()) if shift else pa.array(draw.uniform(0, 10, rows)),
            "carrier": draw.choice(["AA", "DL"], rows),
        }
    )


def test_the_report_is_one_html_file_that_loads_nothing_and_leaves_empty_columns_out() -> None:
    html = drift_report(COLUMNS, reference=flights(4000, 0), current=flights(500, 60)).decode()
    assert "<!DOCTYPE html>" in html
    assert "delay" in html
    assert "carrier" in html
    assert "ceiling_feet" not in html
    assert not re.search(r'<(script|link|img)[^>]*(src|href)="https?:', html)


def test_monitoring_imports_no_evidently_until_a_report_is_made() -> None:
    code = "import sys, roundtrip.monitoring.evidently_report; sys.exit('evidently' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
