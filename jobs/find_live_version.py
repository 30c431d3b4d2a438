"""Find the version that serves, for a roll back by hand: the one before it must still be kept. The jobs that follow take it out."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.serving.going_back import version_to_leave
from roundtrip.serving.version_to_release import reason
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    parser = job_parser("find_live_version", __doc__ or "")
    parser.add_argument("--why", required=True, help="kept in the release's history")
    parser.add_argument("--by", default="", help="name of the person who asks for it")
    request = parser.parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, folder = use_case_named(request.use_case), RunFolder(request.run_dir)
        live = version_to_leave(use_case.name)
        why = reason(request.why, by=request.by, folder=folder)
        receipt.figures.update(version=live.version, manifest_sha256=live.digest, why=why)


if __name__ == "__main__":
    main()
