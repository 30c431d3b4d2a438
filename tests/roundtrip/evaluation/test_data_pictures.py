from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from roundtrip.evaluation.data_pictures import (
    baseline_against_label,
    baseline_over_time,
    correction_by_value,
    label_distribution,
    missing_values,
    rank_correlation,
    signals,
)

LARGEST_BYTES = 100_000
GENERATOR = np.random.default_rng(1)
ROWS = 20_000
BASELINE = GENERATOR.gamma(0.5, 30, ROWS) - 5
SIGNAL = np.where(GENERATOR.random(ROWS) < 0.1, np.nan, GENERATOR.normal(0, 8, ROWS))
LABELS = BASELINE - 5 + np.nan_to_num(SIGNAL) + GENERATOR.normal(0, 10, ROWS)
CORRECTION = LABELS - BASELINE
MOMENTS = np.datetime64("2013-01-01T00:00") + np.arange(ROWS) * np.timedelta64(6, "m")


def by_value(correction: np.ndarray = CORRECTION) -> bytes:
    places = np.arange(ROWS)
    return correction_by_value(
        {"hour": (places % 24).tolist(), "destination": [f"D{place % 40}" for place in places]}, correction, unit="min"
    )


def of_signals(correction: np.ndarray = CORRECTION) -> bytes:
    return signals({"gain": SIGNAL, "start": BASELINE, "constant": np.ones(ROWS), "unknown": np.full(ROWS, np.nan)}, correction, unit="min")


def of_label(labels: np.ndarray = LABELS) -> bytes:
    return label_distribution(labels, BASELINE, unit="min")


def of_baseline(labels: np.ndarray = LABELS) -> bytes:
    return baseline_against_label(BASELINE, labels, unit="min")


def over_time(labels: np.ndarray = LABELS) -> bytes:
    return baseline_over_time(MOMENTS, labels, BASELINE - 5, unit="min")


PICTURES: dict[str, tuple[Callable[[], bytes], Callable[[], bytes]]] = {
    "label": (of_label, lambda: of_label(LABELS + 9)),
    "baseline": (of_baseline, lambda: of_baseline(LABELS + 9)),
    "by value": (by_value, lambda: by_value(CORRECTION + np.arange(ROWS) % 24)),
    "signals": (of_signals, lambda: of_signals(-CORRECTION)),
    "missing": (lambda: missing_values({"a": 0.1, "b": 0.0, "c": 0.002}), lambda: missing_values({"a": 0.3, "b": 0.0, "c": 0.002})),
    "over time": (over_time, lambda: over_time(LABELS + np.arange(ROWS) / 1000)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small_readable_the_same_each_time_and_follows_the_figures(name: str) -> None:
    draw, of_other_rows = PICTURES[name]
    picture = draw()
    assert len(picture) < LARGEST_BYTES
    opened = Image.open(BytesIO(picture))
    assert (opened.format, min(opened.size) > 150) == ("PNG", True)
    assert len(opened.convert("RGB").getcolors(1 << 20) or []) > 20
    assert draw() == picture
    assert of_other_rows() != picture


def test_columns_that_all_rows_have_leave_an_empty_picture() -> None:
    assert missing_values({"a": 0.0})


def test_the_rank_correlation_passes_over_missing_values_and_outliers() -> None:
    rising = np.arange(100.0)
    assert rank_correlation(rising, rising**3) == pytest.approx(1)
    assert rank_correlation(np.where(rising < 50, np.nan, rising), -rising) == pytest.approx(-1)
    assert rank_correlation(np.ones(100), rising) == rank_correlation(np.full(100, np.nan), rising) == 0.0
