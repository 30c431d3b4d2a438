from dataclasses import replace
from pathlib import Path

import pytest

from jobs.judge_candidate import main
from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.evaluation.quality import Evaluation, Quality

GOOD = Quality(mae=10.0, skill=0.2, skill_low=0.15, skill_high=0.25, coverage=0.8)
EVALUATION = Evaluation(held_out_rows=5000, baseline_mae=12.5, candidate=GOOD, champion=None, champion_version=None, slices={})


def run(folder: Path, evaluation: Evaluation) -> Receipt:
    """Judge that evaluation; gives the receipt the job left, whatever its answer."""
    run_folder = RunFolder(f"file://{folder}")
    run_folder.write_receipt(Receipt("evaluate_model", "flight_eta", figures=evaluation.figures()))
    main(["--use-case", "flight_eta", "--run-dir", run_folder.uri])
    return run_folder.receipt("judge_candidate")


def test_a_candidate_that_passes_leaves_its_rules_in_the_receipt(tmp_path: Path) -> None:
    receipt = run(tmp_path, EVALUATION)
    assert receipt.figures["passed"] is True
    rules = receipt.figures["rules"]
    assert isinstance(rules, list)
    assert rules[0] == {"rule": "held-out rows, at least", "value": 5000, "limit": 1000, "passed": True}


def test_a_refused_candidate_ends_with_exit_code_10_and_its_rules(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, replace(EVALUATION, candidate=replace(GOOD, skill_low=0.01)))
    assert ended.value.code == 10
    left = Receipt.from_json((tmp_path / "receipts" / "judge_candidate.json").read_bytes())
    assert (left.answer, left.figures["passed"]) == ("no", False)
    assert "0.01 (limit 0.05)" in left.reason


def test_without_an_evaluation_the_job_to_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--use-case", "flight_eta", "--run-dir", f"file://{tmp_path}"])
    assert ended.value.code == 20
    assert "python -m jobs.evaluate_model" in capsys.readouterr().err
