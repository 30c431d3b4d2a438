"""Let the candidate answer a rising share of the real requests, and take it back as soon as they speak against it."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.serving.rollout import Standing, stand_canary
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("canary_release", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        standing = Standing.of_run(use_case_named(request.use_case), RunFolder(request.run_dir))
        receipt.figures |= {"version": standing.version} | stand_canary(standing).figures()


if __name__ == "__main__":
    main()
