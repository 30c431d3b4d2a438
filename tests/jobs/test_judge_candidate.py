from dataclasses import replace
from pathlib import Path

import pytest

from jobs.judge_candidate import main
from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.evaluation.quality import Evaluation
from tests.roundtrip.evaluation.evaluations import EVALUATION, GOOD

REFUSED = replace(EVALUATION, candidate=replace(GOOD, skill_low=0.01))


def run(folder: Path, evaluation: Evaluation, *more: str) -> Receipt:
    """Judge that evaluation; gives the receipt the job left, whatever its answer."""
    run_folder = RunFolder(f"file://{folder}")
    run_folder.write_receipt(Receipt("evaluate_model", "flight_eta", figures=evaluation.figures()))
    main(["--use-case", "flight_eta", "--run-dir", run_folder.uri, *more])
    return run_folder.receipt("judge_candidate")


def test_a_candidate_that_passes_leaves_its_rules_in_the_receipt(tmp_path: Path) -> None:
    receipt = run(tmp_path, EVALUATION)
    assert receipt.figures["passed"] is True
    rules = receipt.figures["rules"]
    assert isinstance(rules, list)
    assert rules[0] == {"rule": "held-out rows, at least", "value": 5000, "limit": 1000, "passed": True, "slice": ""}


def test_a_refused_candidate_ends_with_exit_code_10_and_its_rules(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, REFUSED)
    assert ended.value.code == 10
    left = Receipt.from_json((tmp_path / "receipts" / "judge_candidate.json").read_bytes())
    assert (left.answer, left.figures["passed"]) == ("no", False)
    assert "0.01 (limit 0.05)" in left.reason


def test_an_override_lets_a_refused_candidate_on_and_stands_in_the_receipt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receipt = run(tmp_path, REFUSED, "--override-by", "Ada", "--override-reason", "needed for the fair")
    assert (receipt.answer, receipt.figures["passed"]) == ("done", False)
    override = receipt.figures["override"]
    assert isinstance(override, dict) and isinstance(override["rules"], list)
    assert (override["by"], override["reason"], len(override["rules"])) == ("Ada", "needed for the fair", 1)
    assert "0.01 (limit 0.05)" in str(override["rules"][0])
    assert "Ada lets it on: needed for the fair" in capsys.readouterr().out


def test_an_override_without_a_reason_fails_as_a_wrong_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, REFUSED, "--override-by", "Ada")
    assert ended.value.code == 20
    assert "BadOverride: --override-by is 'Ada' and --override-reason is empty" in capsys.readouterr().err


def test_without_an_evaluation_the_job_to_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--use-case", "flight_eta", "--run-dir", f"file://{tmp_path}"])
    assert ended.value.code == 20
    assert "python -m jobs.evaluate_model" in capsys.readouterr().err
