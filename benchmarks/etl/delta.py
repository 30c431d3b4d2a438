"""How the peers write a month of a Delta table."""

from __future__ import annotations

from pathlib import Path

from arro3.core.types import ArrowStreamExportable
from deltalake import DeltaTable, write_deltalake


def replace_month(rows: ArrowStreamExportable, table: Path, month: str) -> None:
    """Make `rows` the table's month, as publishing does; the table comes to be with its first month."""
    predicate = f"event_month = '{month}'" if DeltaTable.is_deltatable(str(table)) else None
    write_deltalake(table, rows, mode="overwrite", partition_by=["event_month"], predicate=predicate)
