"""Claim the partitions of a feed that have landed, so that this run builds them and no other does, and find what depends on them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from roundtrip.contracts.names import checked_partitions
from roundtrip.contracts.receipts import job_parser, receipt_for
from roundtrip.lakehouse.dependents import dependents
from roundtrip.lakehouse.landing import claim
from use_cases import use_case_named


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = job_parser("find_new_files", __doc__ or "")
    parser.add_argument("--feed", required=True, help="name of the feed")
    parser.add_argument("--partitions", help="months such as 2013-01..2013-03,2013-05; without it, all that have a marker")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    request = parse(argv)
    with receipt_for(request, part=request.feed) as receipt:
        use_case = use_case_named(request.use_case)
        feed = use_case.feed(request.feed)
        asked = checked_partitions(request.partitions) if request.partitions else None
        claimed = claim(use_case.name, feed, run_folder=request.run_dir, partitions=asked)
        behind = dependents(use_case, feed, claimed)
        receipt.figures["partitions"] = list(claimed)
        receipt.figures["builds"] = [{"partition": month, "dependent": month in behind} for month in sorted({*claimed, *behind})]


if __name__ == "__main__":
    main()
