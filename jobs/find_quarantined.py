"""Find the months of a feed in whose quarantine rows wait that a mended contract may let pass."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from roundtrip.contracts.names import checked_partitions
from roundtrip.contracts.receipts import job_parser, receipt_for
from roundtrip.lakehouse.replay import months_to_replay
from use_cases import use_case_named


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = job_parser("find_quarantined", __doc__ or "")
    parser.add_argument("--feed", required=True, help="name of the feed")
    parser.add_argument("--partitions", help="only these months, 2013-01..2013-03,2013-05")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    request = parse(argv)
    with receipt_for(request, part=request.feed) as receipt:
        use_case = use_case_named(request.use_case)
        asked = checked_partitions(request.partitions) if request.partitions else None
        receipt.figures["partitions"] = ",".join(months_to_replay(use_case, use_case.feed(request.feed), partitions=asked))


if __name__ == "__main__":
    main()
