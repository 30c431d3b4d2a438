"""What a task hands on of its job's receipts: a few figures by XCom, and links."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.receipts import Figure, Receipt, RunFolder


def summary_of(receipts: Sequence[Receipt], folder: RunFolder) -> dict[str, Figure]:
    """The receipts' addresses (`receipt`) and the figures that are single values; of several receipts, names begin with their table's."""
    summary: dict[str, Figure] = {}
    for receipt in receipts:
        prefix = f"{receipt.part.partition('.')[0]}." if len(receipts) > 1 else ""
        singles = {name: value for name, value in receipt.figures.items() if not isinstance(value, list | dict)}
        summary |= {f"{prefix}{name}": value for name, value in {"receipt": _uri(receipt, folder), **singles}.items()}
    return summary


def links_of(receipts: Sequence[Receipt], folder: RunFolder) -> dict[str, str]:
    """Title → address; of several receipts with a link of one title, the first one's."""
    links: dict[str, str] = {}
    for receipt in receipts:
        links = {"Receipt": _uri(receipt, folder)} | receipt.links | links
    return links


def _uri(receipt: Receipt, folder: RunFolder) -> str:
    return folder.receipt_uri(receipt.job, receipt.part)
