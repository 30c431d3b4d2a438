"""Let the governor decide on a retrain. Exit code 10 when the answer is no, with everything that held it back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from roundtrip.contracts.errors import RetrainHeld
from roundtrip.contracts.names import checked_partition
from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.monitoring.decide import decide_on
from roundtrip.monitoring.governor import Measurement
from roundtrip.monitoring.history import failed_builds
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    parser = job_parser("decide_retrain", __doc__ or "")
    parser.add_argument("--partition", required=True, help="month that was measured, such as 2013-04")
    request = parser.parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, partition = use_case_named(request.use_case), checked_partition(request.partition)
        measured = RunFolder(request.run_dir).receipt("measure_drift")
        measurement = Measurement.of(partition, measured.figures, failed_builds=failed_builds(use_case, partition))
        decision = decide_on(use_case, measurement, run_dir=request.run_dir, now=datetime.now(UTC))
        receipt.figures.update(action=decision.action, reasons=[*decision.reasons], cause=measurement.cause, partitions=f"..{partition}")
        if decision.action == "hold":
            raise RetrainHeld(" ".join(decision.reasons))


if __name__ == "__main__":
    main()
