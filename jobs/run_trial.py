"""Train and judge one trial of the run's tuning. tune_model starts it, and it ends with tune_model, however that goes.

It leaves no receipt: the study knows how it ended, and tune_model tells of it. Run again it goes on from the trial's last whole
checkpoint.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from roundtrip.contracts.end_with_parent import end_with_parent
from roundtrip.contracts.errors import RoundtripError
from roundtrip.contracts.receipts import RunFolder, job_parser
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    parser = job_parser("run_trial", __doc__ or "")
    parser.add_argument("--trial", type=int, required=True, help="number of the trial in the run's study, from 0")
    request = parser.parse_args(argv)
    end_with_parent()
    from roundtrip.training.trial import run_trial

    try:
        run_trial(use_case_named(request.use_case), RunFolder(request.run_dir), request.trial)
    except RoundtripError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        raise SystemExit(error.exit_code) from error


if __name__ == "__main__":
    main()
