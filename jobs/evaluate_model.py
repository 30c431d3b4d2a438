"""Measure the candidate, the champion, the baseline and a yardstick of boosted trees on the held-out rows of the run's snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.evaluation.evaluate_candidate import evaluate_candidate
from roundtrip.registry.mlflow_run import log_metrics, log_pictures
from roundtrip.training.chosen_recipe import use_case_of_run
from roundtrip.training.training_record import read_record
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("evaluate_model", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        folder = RunFolder(request.run_dir)
        record = read_record(folder)
        use_case = use_case_of_run(use_case_named(request.use_case), folder)
        evaluated = evaluate_candidate(use_case, folder)
        evaluation = evaluated.evaluation
        print("\n".join(evaluation.lines(use_case.outputs[0].unit)), flush=True)
        log_metrics(record.mlflow_run_id, evaluation.metrics())
        log_pictures(record.mlflow_run_id, evaluated.pictures)
        receipt.inputs += record.tables
        receipt.figures |= evaluation.figures()
        receipt.links["MLflow run"] = record.mlflow_run_url


if __name__ == "__main__":
    main()
