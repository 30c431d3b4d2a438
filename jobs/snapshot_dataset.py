"""Pin the versions and months of features and outcomes that a model is trained and judged on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from roundtrip.contracts.receipts import job_parser, receipt_for
from roundtrip.lakehouse.snapshot import take_snapshot
from use_cases import use_case_named


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = job_parser("snapshot_dataset", __doc__ or "")
    parser.add_argument("--partitions", required=True, help="months 2013-01..2013-03,2013-05, or ..2013-06 for all up to that month")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    request = parse(argv)
    with receipt_for(request) as receipt:
        use_case = use_case_named(request.use_case)
        snapshot = take_snapshot(use_case, request.partitions)
        snapshot.save(request.run_dir)
        receipt.inputs = snapshot.tables(use_case)
        receipt.figures |= {
            "partitions": list(snapshot.partitions),
            "rows": snapshot.rows,
            "held_out_from": snapshot.held_out_from,
            "features_version": snapshot.features_version,
            "outcomes_version": snapshot.outcomes_version,
            "content_sha256": snapshot.content_sha256,
        }


if __name__ == "__main__":
    main()
