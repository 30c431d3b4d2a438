"""A card of titled sections as Markdown and as one self-contained HTML page. All text is taken as text: whatever it holds is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --dim: #59636e; --ground: #fff; --line: #d8dee4; --good: #116329; --bad: #a40e26;
  --link: #0b62d6 }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --dim: #9198a1; --ground: #0d1117; --line: #30363d; --good: #57ab5a;
  --bad: #ff7b72; --link: #6aa8ff } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem 3rem; color: var(--text);
  background: var(--ground) }
h1 { font-size: 1.5rem; margin-bottom: .25rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem } p, ul { max-width: 52rem }
a { color: var(--link) }
.scrolls { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: left; vertical-align: top; padding: .35rem 1.25rem .35rem 0; border-bottom: 1px solid var(--line) }
th, .facts td:first-child { color: var(--dim); font-weight: 500; white-space: nowrap }
.figures td:not(:first-child, :last-child), .passed, .refused { white-space: nowrap } .facts td:last-child { overflow-wrap: anywhere }
.passed { color: var(--good) } .refused { color: var(--bad); font-weight: 600 } .dim { color: var(--dim) }
#override { border-left: 4px solid var(--bad); padding-left: 1rem } #override h2 { color: var(--bad) }
"""

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~&])")
_ADDRESS = re.compile(r"https?://[^\s<>\"]+")
_SHADES = {"passed": "passed", "refused": "refused", "too small": "dim", "–": "dim"}
"""What a cell says → its class; of a count and a word, the word decides."""


@dataclass(frozen=True)
class Points:
    """A list."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings; empty headings make it a list of facts, each with its name first."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def of_facts(self) -> bool:
        return not any(self.headings)


Block = str | Points | Table
"""A string is a paragraph."""


@dataclass(frozen=True)
class Section:
    """A part of a card."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A page of sections."""

    title: str
    sections: tuple[Section, ...]


def as_markdown(card: Card) -> str:
    """GitHub's Markdown, which MLflow's pages show too."""
    parts = [f"# {plain(card.title)}"]
    for section in card.sections:
        parts += [f"## {plain(section.title)}", *(_markdown_block(block) for block in section.blocks)]
    return "\n\n".join(parts) + "\n"


def as_html(card: Card) -> str:
    """One page that needs no other file, light or dark as the browser asks."""
    title = escape(card.title)
    sections = "".join(
        f'<section id="{_anchor(section.title)}"><h2>{escape(section.title)}</h2>{"".join(map(_html_block, section.blocks))}</section>\n'
        for section in card.sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Model card: {title}</title><style>{STYLE}</style></head><body>\n"
        f'<p class="dim">Model card</p><h1>{title}</h1>\n{sections}</body></html>\n'
    )


def plain(text: str) -> str:
    """Markdown of one line in which nothing of the text is read as markup; an address alone becomes a link."""
    line = " ".join(text.split())
    return f"<{line}>" if _ADDRESS.fullmatch(line) else _MARKDOWN.sub(r"\\\1", line)


def _markdown_block(block: Block) -> str:
    if isinstance(block, str):
        return plain(block)
    if isinstance(block, Points):
        return "\n".join(f"- {plain(text)}" for text in block.texts)
    return "\n".join(_markdown_row(row) for row in (block.headings, ("-",) * len(block.headings), *map(_plain_cells, block.rows)))


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain_cells(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(plain(cell) for cell in cells)


def _html_block(block: Block) -> str:
    if isinstance(block, str):
        return f"<p>{escape(block)}</p>"
    if isinstance(block, Points):
        return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in block.texts) + "</ul>"
    head = "" if block.of_facts else "<thead><tr>" + "".join(f"<th>{escape(text)}</th>" for text in block.headings) + "</tr></thead>"
    body = "".join("<tr>" + "".join(map(_html_cell, row)) + "</tr>" for row in block.rows)
    return f'<div class="scrolls"><table class="{"facts" if block.of_facts else "figures"}">{head}<tbody>{body}</tbody></table></div>'


def _html_cell(text: str) -> str:
    shade = _SHADES.get(text.lstrip("0123456789 "), "")
    inner = f'<a href="{escape(text)}">{escape(text)}</a>' if _ADDRESS.fullmatch(text) else escape(text)
    return f'<td class="{shade}">{inner}</td>' if shade else f"<td>{inner}</td>"


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z]+", "-", title.lower())
