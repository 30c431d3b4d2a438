"""Register the judged candidate in MLflow with its model card, alias `candidate`. The same run folder always gives the same version."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.evaluation.judge import Judgement
from roundtrip.evaluation.quality import Evaluation
from roundtrip.registry.mlflow_registry import register
from roundtrip.training.chosen_recipe import use_case_of_run
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("register_model", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        folder = RunFolder(request.run_dir)
        judgement = Judgement.from_figures(folder.receipt("judge_candidate").figures)
        evaluation = Evaluation.from_figures(folder.receipt("evaluate_model").figures)
        registered = register(use_case_of_run(use_case_named(request.use_case), folder), folder, evaluation, judgement)
        receipt.figures |= {"version": registered.version, "mlflow_run_id": registered.mlflow_run_id}
        receipt.links |= {"Model card": registered.card_uri, "Model version": registered.url, "MLflow run": registered.run_url}


if __name__ == "__main__":
    main()
