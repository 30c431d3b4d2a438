"""Measure a partition's drift: inputs and predictions against the training rows, performance against the baseline and the release."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts import storage
from roundtrip.contracts.names import checked_partition
from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.monitoring.measure import check_drift
from use_cases import use_case_named

REPORT = "drift_report.html"


def main(argv: Sequence[str] | None = None) -> None:
    parser = job_parser("measure_drift", __doc__ or "")
    parser.add_argument("--partition", required=True, help="month to measure, such as 2013-04")
    request = parser.parse_args(argv)
    with receipt_for(request) as receipt:
        check = check_drift(use_case_named(request.use_case), checked_partition(request.partition))
        report = RunFolder(request.run_dir).file(REPORT)
        storage.write_bytes(report, check.report)
        receipt.inputs.extend(check.tables)
        receipt.figures.update(check.figures())
        receipt.links["Evidently report"] = report


if __name__ == "__main__":
    main()
