import argparse
import json
from pathlib import Path

import pytest

from roundtrip.contracts.errors import AnswerIsNo, ReceiptMissing, RowsRejected, ServiceUnavailable
from roundtrip.contracts.receipts import Receipt, RunFolder, TableVersion, job_parser, receipt_for


def request(run_folder: Path) -> argparse.Namespace:
    return job_parser("build_table", "").parse_args(["--use-case", "flight_eta", "--run-dir", f"file://{run_folder}"])


def test_a_receipt_reads_back_as_it_was_written(tmp_path: Path) -> None:
    with receipt_for(request(tmp_path), part="features.2013-04") as receipt:
        receipt.outputs.append(TableVersion("features", "s3://b/lakehouse/flight_eta/features", 3, 27000))
        receipt.figures["rows_published"] = 27000
    read = RunFolder(f"file://{tmp_path}").receipt("build_table", "features.2013-04")
    assert read == receipt
    assert read.seconds >= 0
    assert read.started_at


@pytest.mark.parametrize(("error", "code", "answer"), [
    (AnswerIsNo("nothing new"), 10, "no"),
    (RowsRejected("31 %"), 20, "failed"),
    (ServiceUnavailable("S3 is away"), 1, "failed"),
])  # fmt: skip
def test_an_error_ends_the_job_with_its_exit_code_and_leaves_the_reason(
    tmp_path: Path, error: Exception, code: int, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, receipt_for(request(tmp_path)):
        raise error
    assert ended.value.code == code
    left = json.loads((tmp_path / "receipts" / "build_table.json").read_bytes())
    assert (left["answer"], left["reason"]) == (answer, f"{type(error).__name__}: {error}")
    assert str(error) in capsys.readouterr().err


def test_a_bug_keeps_its_traceback_and_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), receipt_for(request(tmp_path)):
        _ = 1 / 0
    with pytest.raises(ReceiptMissing, match="ZeroDivisionError"):
        RunFolder(f"file://{tmp_path}").receipt("build_table")


def test_a_missing_receipt_names_the_job_to_run(tmp_path: Path) -> None:
    with pytest.raises(ReceiptMissing, match=r"python -m jobs\.train_model"):
        RunFolder(f"file://{tmp_path}").receipt("train_model")


def test_figures_that_json_cannot_hold_are_refused(tmp_path: Path) -> None:
    receipt = Receipt("measure_drift", "flight_eta", figures={"skill": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        RunFolder(f"file://{tmp_path}").write_receipt(receipt)
