from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from roundtrip.evaluation.evaluate import Champion, Columns, ask
from roundtrip.evaluation.evaluate_candidate import drawn
from roundtrip.evaluation.pictures import calibration, error_by_slice, learning_curve, optimization_history, parameter_importance, residuals
from roundtrip.evaluation.yardstick import TreesAnswer
from tests.roundtrip.training.tiny import TINY, tiny_rows

LARGEST_BYTES = 100_000
GENERATOR = np.random.default_rng(1)
LABELS = GENERATOR.gamma(1.2, 30, 30_000) - 25
MEDIANS = LABELS + GENERATOR.standard_t(3, len(LABELS)) * 8
ANSWERS = np.stack([MEDIANS, MEDIANS - 10, MEDIANS + 12], axis=1).astype(np.float32)


def curve() -> bytes:
    return learning_curve([1.6, 1.3, 1.2], [11.2, 10.4, 10.1], unit="min")


def by_prediction() -> bytes:
    return residuals(MEDIANS, LABELS, unit="min")


def of_interval() -> bytes:
    return calibration(ANSWERS, LABELS, quantiles=[0.5, 0.1, 0.9], unit="min")


def by_slice() -> bytes:
    names = [None if place % 7 == 0 else f"value {place % 40}" for place in range(len(LABELS))]
    return error_by_slice({"origin": names, "carrier": names}, {"candidate": MEDIANS, "baseline": MEDIANS + 9}, LABELS, unit="min")


def of_trials() -> bytes:
    return optimization_history({0: 9.8, 1: 9.9, 3: 9.6, 4: 30.0}, {2: 10.4}, declared=9.8, unit="min")


def of_one_trial() -> bytes:
    return optimization_history({0: 9.8}, {}, declared=None, unit="min")


def of_parameters() -> bytes:
    return parameter_importance({"learning_rate": 0.7, "hidden": 0.3, "epochs": 0.0})


@pytest.mark.parametrize("draw", [curve, by_prediction, of_interval, by_slice, of_trials, of_one_trial, of_parameters])
def test_a_picture_is_small_readable_and_the_same_each_time(draw: Callable[[], bytes]) -> None:
    picture = draw()
    assert len(picture) < LARGEST_BYTES
    opened = Image.open(BytesIO(picture))
    assert opened.format == "PNG"
    assert min(opened.size) > 350
    assert len(opened.convert("RGB").getcolors(1 << 20) or []) > 20
    assert draw() == picture


def test_what_is_drawn_follows_the_figures() -> None:
    assert curve() != learning_curve([1.6, 1.3, 1.25], [11.2, 10.4, 10.1], unit="min")
    assert by_prediction() != residuals(MEDIANS, LABELS + 5, unit="min")
    assert of_interval() != calibration(ANSWERS, LABELS + 5, quantiles=[0.5, 0.1, 0.9], unit="min")


def test_a_dozen_rows_and_one_epoch_are_drawn_too() -> None:
    few = slice(0, 12)
    assert learning_curve([1.6], [11.2], unit="min")
    assert residuals(MEDIANS[few], LABELS[few], unit="min")
    assert calibration(ANSWERS[few], LABELS[few], quantiles=[0.5, 0.1, 0.9], unit="min")


@pytest.mark.parametrize("released", [True, False])
def test_an_evaluation_is_drawn_with_and_without_a_champion(released: bool) -> None:
    held_out = tiny_rows(500)
    late = held_out["late"].to_numpy()

    def predict(_: Columns) -> np.ndarray:
        return np.stack([late + 1, late - 9, late + 9], axis=1).astype(np.float32)

    champion = Champion("7", predict) if released else None
    trees = TreesAnswer(median=late + 2.0, seconds=1.0)
    answers = ask(TINY, held_out, candidate=predict, gain=0.0, champion=champion, yardstick=trees)
    assert list(answers.medians()) == ["candidate", *(["champion"] if released else []), "yardstick", "baseline"]
    assert sorted(drawn(TINY, held_out, answers)) == ["calibration.png", "error_by_slice.png", "residuals.png"]
