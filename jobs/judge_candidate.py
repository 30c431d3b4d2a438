"""The gate: does the candidate show enough to be registered? Exit code 10 when it does not."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.errors import CandidateRefused
from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.evaluation.judge import judge
from roundtrip.evaluation.quality import Evaluation
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("judge_candidate", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        evaluation = Evaluation.from_figures(RunFolder(request.run_dir).receipt("evaluate_model").figures)
        judgement = judge(evaluation, use_case_named(request.use_case).gate)
        receipt.figures |= judgement.figures()
        if not judgement.passed:
            raise CandidateRefused(f"the gate refuses the candidate. {judgement.reason}. The champion, if any, stays.")


if __name__ == "__main__":
    main()
