"""Move all traffic to the candidate that stood the canary, and unload what neither serves nor is kept to roll back to."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.contracts.settings import settings
from roundtrip.serving.going_back import settle
from roundtrip.serving.release_steps import promote, wait_for_gateway
from roundtrip.serving.version_to_release import version_of_run
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("promote_release", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, folder = use_case_named(request.use_case), RunFolder(request.run_dir)
        version = str(folder.receipt("canary_release").figures["version"])
        generation = int(str(folder.receipt("canary_release").figures["generation"]))
        release = promote(use_case.name, version, expected_generation=generation, why=version_of_run(folder).why)
        wait_for_gateway(release)
        settle(release)
        receipt.figures.update(
            version=version,
            previous_version=release.previous.version if release.previous else None,
            generation=release.generation,
        )
        receipt.links["Gateway"] = f"{settings().gateway_url}/docs"


if __name__ == "__main__":
    main()
