"""The contrast of the pages' colours, computed as WCAG 2.2 defines it (1.4.3 text, 1.4.11 lines and marks)."""

from __future__ import annotations

import re

import pytest

from plugins.pages.palette import DARK, LIGHT, Palette
from plugins.pages.rendering import TEMPLATES

TEXT, GRAPHIC = 4.5, 3.0


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("behind", ["ground", "panel", "tint"])
@pytest.mark.parametrize("text", ["ink", "quiet", "link", "good", "warn", "bad", "release"])
def test_text_can_be_read(palette: Palette, behind: str, text: str) -> None:
    assert contrast(getattr(palette, text), getattr(palette, behind)) >= TEXT


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_buttons_fields_lines_and_marks_can_be_told_from_what_is_behind_them(palette: Palette) -> None:
    assert contrast(palette.button_ink, palette.button) >= TEXT
    for graphic in ("model", "baseline", "refit", "release", "border", "button"):
        assert contrast(getattr(palette, graphic), palette.ground) >= GRAPHIC
        assert contrast(getattr(palette, graphic), palette.panel) >= GRAPHIC


def test_the_style_sheet_has_no_colour_but_the_palettes() -> None:
    style = (TEMPLATES / "style.css").read_text()
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", style)
    assert {name.replace("-", "_") for name in re.findall(r"var\(--([a-z-]+)\)", style)} <= set(LIGHT.__dataclass_fields__)
