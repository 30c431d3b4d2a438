"""The model card of a version: what it predicts, what for, from which data, how good it is on which rows, and what let it pass.

Made from the run's own receipts when the version is registered (the sections are those of Mitchell et al., "Model Cards for Model
Reporting", 2019). It goes with the version as Markdown and as HTML: roundtrip/registry/card_pages.py writes both from the same sections.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from roundtrip.contracts.receipts import RunFolder, code_commit
from roundtrip.contracts.use_cases import Input, UseCase
from roundtrip.evaluation.judge import Judgement, Rule, as_text
from roundtrip.evaluation.quality import Evaluation, Quality
from roundtrip.evaluation.skill import Excess
from roundtrip.evaluation.slices import SliceFound
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.registry.card_pages import Card, Points, Section, Table
from roundtrip.training.chosen_recipe import Tuning
from roundtrip.training.training_record import TrainingRecord

MARKDOWN_FILE, HTML_FILE = "MODEL_CARD.md", "model_card.html"

PASSED, REFUSED = "passed", "refused"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a version was made of, and how it was judged."""

    folder: RunFolder
    snapshot: Snapshot
    record: TrainingRecord
    evaluation: Evaluation
    judgement: Judgement
    tuning: Tuning | None = None
    """What chose the recipe; None where it is the declared one."""


def model_card(use_case: UseCase, origin: Origin) -> Card:
    """The card of the version that is made of `origin`."""
    return Card(
        title=f"{use_case.title}, trained on {_months(origin.snapshot)}",
        sections=(
            *_override(origin.judgement),
            _what_it_predicts(use_case),
            Section("Intended use", (use_case.intended_use or "The use case declares none.",)),
            Section("Limits", (Points(use_case.limits) if use_case.limits else "The use case declares none.",)),
            _how_good_it_is(use_case, origin.evaluation),
            _slices(use_case, origin.evaluation, origin.judgement),
            _calibration(use_case, origin.evaluation),
            _gate(origin.judgement),
            _data(use_case, origin),
            _recipe(use_case, origin.record, origin.tuning),
            Section("Inputs", (Table(("Input", "Unit", "Range", "Meaning"), tuple(_input_cells(entry) for entry in use_case.inputs)),)),
        ),
    )


def _override(judgement: Judgement) -> Iterator[Section]:
    if judgement.override is not None:
        by, reason = judgement.override.by, judgement.override.reason
        text = f"The gate refused this candidate, and {by} let it on. Reason: {reason}"
        yield Section("Override", (text, "Overridden:", Points(tuple(str(rule) for rule in judgement.refusing))))


def _what_it_predicts(use_case: UseCase) -> Section:
    outputs = tuple((output.name, output.unit, f"{output.quantile:g}") for output in use_case.outputs)
    return Section(
        "What it predicts", (use_case.description.strip(), f"Owner: {use_case.owner}.", Table(("Output", "Unit", "Quantile"), outputs))
    )


def _how_good_it_is(use_case: UseCase, found: Evaluation) -> Section:
    rows = [_quality_cells("this candidate", found.candidate)]
    if found.champion is not None:
        rows.append(_quality_cells(f"champion, version {found.champion_version}", found.champion))
    rows.append(("baseline", f"{found.baseline_mae:.2f}", "0", "–"))
    headings = ("Model", f"MAE ({use_case.outputs[0].unit})", "Skill (95 %)", "Coverage")
    text = (
        f"All on the same {found.held_out_rows:,} rows, the last {use_case.gate.held_out_days} days, of which this model learned nothing. "
        f"Skill is 1 − MAE / MAE of the baseline ({use_case.baseline.meaning}). Intervals resample whole days."
    )
    against = (
        "No version was live yet: it is compared with the baseline only."
        if found.excess is None
        else f"Its MAE against that of champion {found.champion_version}: {_excess(found.excess)} (95 %, errors paired)."
    )
    return Section("How good it is", (text, Table(headings, tuple(rows)), against))


def _slices(use_case: UseCase, found: Evaluation, judgement: Judgement) -> Section:
    results = {rule.slice: _result(rule) for rule in judgement.rules if rule.slice}
    gate = use_case.gate
    text = (
        f"MAE in {use_case.outputs[0].unit}. A slice of fewer than {gate.minimum_slice_rows} rows, or of rows on fewer than "
        f"{gate.minimum_slice_days} days, is too small: counted, not judged. The gate refuses where the low end of the interval against "
        f"the champion is above {gate.slice_margin:+.1%}."
    )
    headings = ("Slice", "Rows", "Candidate", "Champion", "Baseline", "Against the champion (95 %)", "Gate")
    rows = tuple(_slice_cells(entry, results.get(entry.name, "no champion")) for entry in found.slices)
    return Section("Slices", (text, Table(headings, rows)) if rows else ("The use case declares none.",))


def _slice_cells(entry: SliceFound, result: str) -> tuple[str, ...]:
    name, rows, figures = entry.name, f"{entry.rows:,}", entry.figures
    if figures is None:
        return (name, rows, "–", "–", "–", "–", "too small")
    champion = "–" if figures.champion_mae is None else f"{figures.champion_mae:.2f}"
    against = "–" if figures.excess is None else _excess(figures.excess)
    return (name, rows, f"{figures.mae:.2f}", champion, f"{figures.baseline_mae:.2f}", against, result)


def _calibration(use_case: UseCase, found: Evaluation) -> Section:
    coverage, nominal, tolerance = found.candidate.coverage, found.nominal_coverage, use_case.gate.coverage_tolerance
    return Section(
        "Calibration",
        (
            f"The interval is meant to hold {nominal:.0%} of the outcomes; on the held-out rows it holds {coverage:.1%} "
            f"({(coverage - nominal) * 100:+.1f} points). The gate allows {tolerance * 100:.0f} points either way.",
        ),
    )


def _gate(judgement: Judgement) -> Section:
    """Every rule about all rows, those about slices that refuse, and how many slices pass."""
    shown = [rule for rule in judgement.rules if not rule.slice or not rule.passed]
    passing = len(judgement.rules) - len(shown)
    rows = [(rule.rule, as_text(rule.value), as_text(rule.limit), _result(rule)) for rule in shown]
    if passing:
        rows.append(("the same on each other slice that is judged", "see Slices", "", f"{passing} {PASSED}"))
    return Section("Gate", (Table(("Rule", "Found", "Limit", "Result"), tuple(rows)),))


def _data(use_case: UseCase, origin: Origin) -> Section:
    snapshot, record = origin.snapshot, origin.record
    facts = {
        "Months": ", ".join(snapshot.partitions),
        "Rows with an outcome": f"{snapshot.rows:,}, of which {record.train_rows:,} trained on",
        "Held out from": snapshot.held_out_from,
        **{f"Table {table.table}": f"version {table.version} of {table.uri}" for table in snapshot.tables(use_case)},
        "SHA-256 of the rows": snapshot.content_sha256 or "not recorded",
        "Code": f"commit {code_commit()}" + (" (+: with uncommitted changes)" if code_commit().endswith("+") else ""),
        "Run folder": origin.folder.uri,
        "Training run": record.mlflow_run_url,
    }
    return Section("Data", (Table(("", ""), tuple(facts.items())),))


def _recipe(use_case: UseCase, record: TrainingRecord, tuning: Tuning | None) -> Section:
    """As trained, what chose it, and how the training ended."""
    trained = {name.replace("_", " "): str(value) for name, value in asdict(use_case.recipe).items() if name != "ranks"}
    ended = {"ranks": str(record.ranks), "epochs trained": str(record.epochs), "last loss": f"{record.final_loss:.4g}"}
    text = "A network with preprocessing inside it, trained with DeepSpeed; it predicts the correction to the baseline."
    return Section("Recipe", (text, _chosen_by(use_case, tuning), Table(("", ""), tuple((trained | ended).items()))))


def _chosen_by(use_case: UseCase, tuning: Tuning | None) -> str:
    if tuning is None:
        return "The recipe is the declared one."
    unit = use_case.outputs[0].unit
    declared = "the declared recipe's trial failed" if tuning.declared_mae is None else f"the declared recipe {tuning.declared_mae:.2f}"
    return (
        f"The recipe was tuned: the best of {tuning.trials} trials, of which {tuning.pruned} were ended early ({tuning.failed} more "
        f"failed). They were judged on the last {use_case.gate.held_out_days} days of the training rows, on none that this model is judged "
        f"on. MAE there {tuning.validation_mae:.2f} {unit}, {declared}."
    )


def _input_cells(entry: Input) -> tuple[str, ...]:
    low, high = (f"{bound:g}" if bound is not None else "…" for bound in (entry.minimum, entry.maximum))
    return (entry.name, entry.unit, f"{low} to {high}" if entry.kind == "number" else "category", entry.meaning)


def _quality_cells(name: str, found: Quality) -> tuple[str, ...]:
    return (name, f"{found.mae:.2f}", f"{found.skill:.3f} ({found.skill_low:.3f} to {found.skill_high:.3f})", f"{found.coverage:.1%}")


def _excess(found: Excess) -> str:
    return f"{found.value:+.1%} ({found.low:+.1%} to {found.high:+.1%})"


def _result(rule: Rule) -> str:
    return PASSED if rule.passed else REFUSED


def _months(snapshot: Snapshot) -> str:
    first, last = snapshot.partitions[0], snapshot.partitions[-1]
    return first if first == last else f"{first} to {last}"
