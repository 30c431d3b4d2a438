"""How good a candidate is on parts of the held-out rows: by the values of a category, or by bands of a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from roundtrip.contracts.model_contract import Value
from roundtrip.contracts.use_cases import Gate, Slice
from roundtrip.evaluation.skill import Excess, excess_with_interval

MISSING = "(missing)"


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Absolute errors of all models on the same n rows, in the label's unit."""

    candidate: NDArray[np.float64]
    """[n]."""
    baseline: NDArray[np.float64]
    """[n]."""
    champion: NDArray[np.float64] | None
    """[n]; None before the first release."""
    days: NDArray[np.int64]
    """[n], any numbering: rows of one day share weather and congestion, so intervals resample days."""

    def excess(self) -> Excess | None:
        """The candidate's MAE above the champion's."""
        return None if self.champion is None else excess_with_interval(self.candidate, self.champion, self.days)

    def of(self, chosen: NDArray[np.bool_]) -> Errors:
        """The same of the rows chosen [n]."""
        champion = None if self.champion is None else self.champion[chosen]
        return Errors(candidate=self.candidate[chosen], baseline=self.baseline[chosen], champion=champion, days=self.days[chosen])


@dataclass(frozen=True, kw_only=True)
class SliceFigures:
    """MAE of each model on one slice, in the label's unit, and the candidate's above the champion's."""

    mae: float
    baseline_mae: float
    champion_mae: float | None
    excess: Excess | None


@dataclass(frozen=True, kw_only=True)
class SliceFound:
    """One slice of the held-out rows. One that is too small to be judged is counted, and has no figures."""

    input: str
    value: str
    """The category's value, the band with its unit, or MISSING."""
    rows: int
    days: int
    """On which its rows lie."""
    figures: SliceFigures | None

    @property
    def name(self) -> str:
        """As `origin = EWR`."""
        return f"{self.input} = {self.value}"


def slices_found(entry: Slice, unit: str, values: Sequence[Value], errors: Errors, gate: Gate) -> list[SliceFound]:
    """Every slice that the values [n] of the slicing input make; `unit` is that input's. In order of value or band, missing last."""
    names, member = members(entry, unit, values)
    found = []
    for place, name in enumerate(names):
        own = errors.of(member == place)
        if len(own.days):
            rows, days = len(own.days), len(np.unique(own.days))
            judged = gate.judges_slice(rows=rows, days=days)
            found.append(SliceFound(input=entry.input, value=name, rows=rows, days=days, figures=_figures(own) if judged else None))
    return found


def _figures(errors: Errors) -> SliceFigures:
    return SliceFigures(
        mae=float(errors.candidate.mean()),
        baseline_mae=float(errors.baseline.mean()),
        champion_mae=None if errors.champion is None else float(errors.champion.mean()),
        excess=errors.excess(),
    )


def members(entry: Slice, unit: str, values: Sequence[Value]) -> tuple[list[str], NDArray[np.int64]]:
    """Of the values [n] of the slicing input: the slices' names, and for each row [n] the place of its slice among them."""
    if entry.bands:
        numbers = np.asarray(values, dtype=np.float64)
        names = _band_names(entry.bands, unit)
        return [*names, MISSING], np.where(np.isnan(numbers), len(names), np.digitize(numbers, entry.bands))
    texts = np.asarray([MISSING if value is None else str(value) for value in values])
    known, member = np.unique(texts, return_inverse=True)
    return [str(name) for name in known], member


def _band_names(bands: Sequence[float], unit: str) -> list[str]:
    between = [f"{low:g} to {high:g} {unit}" for low, high in pairwise(bands)]
    return [f"below {bands[0]:g} {unit}", *between, f"{bands[-1]:g} {unit} and above"]
