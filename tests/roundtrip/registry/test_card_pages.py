import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from roundtrip.registry.card_pages import Card, Points, Section, Table, as_html, as_markdown

HOSTILE = "<script>alert(1)</script> | **bold** `code` [x](javascript:alert(1)) _it_ & ![p](y) \"quoted\" 'so'"


def card_of(text: str) -> Card:
    table = Table(("Reason", "Result"), ((text, "3 passed"), (text, "refused")))
    facts = Table(("", ""), (("Run", "http://mlflow:17500/#/experiments/1/runs/a"), ("Text", text)))
    return Card(title=text, sections=(Section("First part", (text, Points((text, text)), table)), Section("Data", (facts,))))


class Texts(HTMLParser):
    """The tags of a page, and its texts outside of its style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self.tags[-1:]:
            self.texts.append(data)


def test_whatever_a_text_holds_it_is_shown_as_text_in_html() -> None:
    page = Texts(as_html(card_of(HOSTILE)))
    assert "script" not in page.tags
    assert page.texts.count(HOSTILE) >= 6


def test_whatever_a_text_holds_it_is_shown_as_text_in_markdown() -> None:
    page = Texts(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(as_markdown(card_of(HOSTILE))))
    assert not {"script", "strong", "em", "code", "img"} & set(page.tags)
    assert page.tags.count("a") == 1  # the run's address
    assert HOSTILE in page.texts


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("C", "Z"))).filter(str.strip))
def test_a_table_keeps_its_cells_whatever_they_hold(text: str) -> None:
    row = next(line for line in as_markdown(card_of(text)).splitlines() if line.endswith("| refused |"))
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3


@pytest.mark.parametrize(("cell", "shade"), [("3 passed", "passed"), ("refused", "refused")])
def test_a_result_has_its_shade(cell: str, shade: str) -> None:
    assert f'<td class="{shade}">{cell}</td>' in as_html(card_of("x"))


def test_a_page_needs_no_other_file_and_follows_the_browser_s_light_and_dark() -> None:
    page = as_html(card_of("x"))
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"<(link|script|img|iframe)\b|url\(|@import", page)
    assert 'id="first-part"' in page
    assert '<a href="http://mlflow:17500/#/experiments/1/runs/a">' in page
