"""docs/operate.md as a page, for the links of alerts: a heading's anchor is its text, as GitHub makes it."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

from markdown_it import MarkdownIt

from roundtrip.contracts.settings import REPOSITORY

RUNBOOK = REPOSITORY / "docs" / "operate.md"


def anchor_of(heading: str) -> str:
    """`When something is down` → `when-something-is-down`."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@cache
def runbook_html() -> str:
    """The runbook's HTML; what it holds of HTML itself is text."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(RUNBOOK.read_text())
    for heading, content in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", anchor_of(content.content))
    return str(markdown.renderer.render(tokens, markdown.options, {}))
