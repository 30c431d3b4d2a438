from dataclasses import replace

import pytest

from roundtrip.contracts.receipts import RunFolder, TableVersion
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation.judge import Override, judge
from roundtrip.evaluation.quality import Evaluation
from roundtrip.evaluation.skill import Excess
from roundtrip.evaluation.slices import SliceFigures, SliceFound
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.registry.card_pages import as_html, as_markdown
from roundtrip.registry.model_card import Origin, model_card
from roundtrip.training.chosen_recipe import Tuning
from roundtrip.training.training_record import TrainingRecord
from tests.roundtrip.evaluation.evaluations import EVALUATION, GOOD
from tests.roundtrip.training.test_chosen_recipe import TUNING
from tests.roundtrip.training.tiny import TINY

NAMED = replace(TINY, intended_use="Tells the yard when to open.", limits=("Not for payroll.", "Knows no snow."))
TABLES = [TableVersion("features", "s3://bucket/lakehouse/tiny/features", 3, 2000)]
SNAPSHOT = Snapshot(
    use_case="tiny",
    partitions=("2013-01", "2013-02"),
    features_version=3,
    outcomes_version=5,
    rows=2000,
    held_out_from="2013-02-15T00:00:00",
    content_sha256="ab12",
)
RECORD = TrainingRecord(
    fingerprint="f" * 64, epochs=6, train_rows=1500, samples_per_second=70000, final_loss=1.5, held_out_mae=9.5, ranks=2,
    mlflow_run_id="r", mlflow_run_url="http://mlflow/#/experiments/1/runs/r", tables=TABLES,
)  # fmt: skip


def judged_slice(value: str, low: float) -> SliceFound:
    figures = SliceFigures(mae=8.25, baseline_mae=9.5, champion_mae=7.75, excess=Excess(value=low + 0.02, low=low, high=low + 0.04))
    return SliceFound(input="colour", value=value, rows=1400, days=14, figures=figures)


SECOND = replace(
    EVALUATION,
    champion=replace(GOOD, mae=10.5),
    champion_version="3",
    excess=Excess(value=-0.048, low=-0.06, high=-0.03),
    slices=(judged_slice("red", 0.07), judged_slice("blue", -0.1), SliceFound(input="colour", value="green", rows=7, days=2, figures=None)),
)


def card(
    evaluation: Evaluation = EVALUATION, *, override: Override | None = None, use_case: UseCase = NAMED, tuning: Tuning | None = None
) -> str:
    """Its Markdown, without the escapes."""
    judgement = judge(evaluation, use_case.gate).overridden(override)
    folder = RunFolder("s3://bucket/runs/tiny/1")
    origin = Origin(folder=folder, snapshot=SNAPSHOT, record=RECORD, evaluation=evaluation, judgement=judgement, tuning=tuning)
    made = model_card(use_case, origin)
    assert all(f"<h2>{section.title}</h2>" in as_html(made) for section in made.sections)
    return as_markdown(made).replace("\\", "")


@pytest.mark.parametrize("told", [
    "# Tiny, trained on 2013-01 to 2013-02",
    "Minutes late, from minutes late at the start, the wind and a colour.",
    "Tells the yard when to open.",
    "- Not for payroll.\n- Knows no snow.",
    "| this candidate | 10.00 | 0.200 (0.150 to 0.250) | 80.0% |",
    "| baseline | 12.50 | 0 | – |",
    "No version was live yet",
    "meant to hold 80% of the outcomes; on the held-out rows it holds 80.0% (+0.0 points). The gate allows 15 points",
    "| held-out rows, at least | 5,000 | 1,000 | passed |",
    "| Months | 2013-01, 2013-02 |",
    "| Rows with an outcome | 2,000, of which 1,500 trained on |",
    "| Table features | version 3 of ",
    "| Table outcomes | version 5 of ",
    "| SHA-256 of the rows | ab12 |",
    "| Code | commit ",
    "| Run folder | s3://bucket/runs/tiny/1 |",
    "| Training run | <http://mlflow/#/experiments/1/runs/r> |",
    "| learning rate | 0.002 |",
    "| epochs trained | 6 |",
    "| wind | mph | … to … | wind |",
])  # fmt: skip
def test_a_first_version_s_card_says_what_it_is_made_of_and_how_good_it_is(told: str, storage_root: str) -> None:
    assert told in card()


@pytest.mark.parametrize("told", [
    "| champion, version 3 | 10.50 | ",
    "against that of champion 3: -4.8% (-6.0% to -3.0%)",
    "| colour = red | 1,400 | 8.25 | 7.75 | 9.50 | +9.0% (+7.0% to +11.0%) | refused |",
    "| colour = blue | 1,400 | 8.25 | 7.75 | 9.50 | -8.0% (-10.0% to -6.0%) | passed |",
    "| colour = green | 7 | – | – | – | – | too small |",
    "on slice colour = red (1,400 rows; low end of its 95 % interval), as a fraction, at most | 0.07 | 0.05 | refused |",
    "| the same on each other slice that is judged | see Slices |  | 1 passed |",
])  # fmt: skip
def test_a_later_version_s_card_compares_it_with_the_champion_on_the_whole_and_on_slices(told: str, storage_root: str) -> None:
    assert told in card(SECOND)


def test_an_override_comes_first_and_names_who_why_and_what(storage_root: str) -> None:
    page = card(SECOND, override=Override(by="Ada", reason="<b>the fair</b>"))
    first = page.split("## ")[1]
    assert first.startswith("Override\n\nThe gate refused this candidate, and Ada let it on. Reason: <b>the fair</b>")
    assert "- MAE above that of champion 3 on slice colour = red" in first
    assert "## Override" not in card(SECOND)


def test_a_tuned_recipe_is_said_to_be_one_with_the_trials_that_chose_it(storage_root: str) -> None:
    page = card(tuning=TUNING)
    assert "The recipe was tuned: the best of 20 trials, of which 8 were ended early (1 more failed)." in page
    assert "MAE there 9.64 min, the declared recipe 9.81." in page
    assert "The recipe is the declared one." in card()


def test_what_a_use_case_does_not_declare_the_card_says_so(storage_root: str) -> None:
    page = card(use_case=replace(TINY, slices=()))
    assert page.count("The use case declares none.") == 3


def test_the_same_run_gives_the_same_card(storage_root: str) -> None:
    assert card(SECOND) == card(SECOND)
