"""The gate: does the candidate show enough to be registered? Exit code 10 when it does not, and nobody overrides that."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.errors import CandidateRefused
from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.evaluation.judge import Override, judge
from roundtrip.evaluation.quality import Evaluation
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    parser = job_parser("judge_candidate", __doc__ or "")
    parser.add_argument("--override-by", default="", help="name of the person who lets a refused candidate on; with --override-reason")
    parser.add_argument("--override-reason", default="", help="why; both are kept with the model version")
    request = parser.parse_args(argv)
    with receipt_for(request) as receipt:
        override = Override.asked(by=request.override_by, reason=request.override_reason)
        evaluation = Evaluation.from_figures(RunFolder(request.run_dir).receipt("evaluate_model").figures)
        judgement = judge(evaluation, use_case_named(request.use_case).gate).overridden(override)
        receipt.figures |= judgement.figures()
        if not judgement.may_go_on:
            raise CandidateRefused(f"the gate refuses the candidate. {judgement.reason}. The champion, if any, stays.")
        print(judgement, flush=True)


if __name__ == "__main__":
    main()
