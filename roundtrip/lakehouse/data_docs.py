"""The data docs: the page of each published partition, `<storage root>/data_docs/<use case>/<table>/<partition>.html`."""

from __future__ import annotations

from html import escape

from roundtrip.contracts import storage
from roundtrip.contracts.settings import settings
from roundtrip.lakehouse.checks_page import STYLE
from roundtrip.lakehouse.definitions import TableDefinition

INDEX = "index.html"


def latest_page(definition: TableDefinition, partition: str) -> str:
    """Where the latest page of the partition is."""
    return storage.join(_folder(definition), f"{partition}.html")


def keep_latest(definition: TableDefinition, partition: str, page: bytes) -> None:
    """Keep `page` as the latest, and list it in the table's index."""
    storage.write_bytes(latest_page(definition, partition), page)
    storage.write_bytes(storage.join(_folder(definition), INDEX), _index(definition).encode())


def _index(definition: TableDefinition) -> str:
    title = escape(f"{definition.use_case_name}.{definition.name}")
    found = [entry.uri.rsplit("/", 1)[1] for entry in storage.list_objects(_folder(definition) + "/")]
    months = sorted((name for name in found if name != INDEX), reverse=True)
    links = "".join(f'<li><a href="{escape(name)}">{escape(name.removesuffix(".html"))}</a>' for name in months)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1><p>{escape(definition.grain)}.</p><ul>{links}</ul></html>"
    )


def _folder(definition: TableDefinition) -> str:
    return storage.join(settings().storage_root, "data_docs", definition.use_case_name, definition.name)
