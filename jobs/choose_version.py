"""Choose a registered version for release by hand: checked to have passed the gate (or an override), and to be what was published."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.registry.mlflow_registry import version_url
from roundtrip.serving.release import live_version
from roundtrip.serving.version_to_release import check_releasable, reason
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    parser = job_parser("choose_version", __doc__ or "")
    parser.add_argument("--version", required=True, help="version number in the registry")
    parser.add_argument("--why", required=True, help="kept in the release's history")
    parser.add_argument("--by", default="", help="name of the person who asks for it")
    request = parser.parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, folder = use_case_named(request.use_case), RunFolder(request.run_dir)
        digest = check_releasable(use_case.name, request.version)
        receipt.figures.update(
            version=request.version,
            manifest_sha256=digest,
            why=reason(request.why, by=request.by, folder=folder),
            live_before=live_version(use_case.name) == request.version,
        )
        receipt.links["Model version"] = version_url(use_case.name, request.version)


if __name__ == "__main__":
    main()
