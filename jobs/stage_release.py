"""Load the run's version on Triton beside the live one, and note it as the candidate. No traffic reaches it yet."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.registry.mlflow_registry import CHALLENGER, set_alias, version_url
from roundtrip.serving.release_steps import stage
from roundtrip.serving.version_to_release import version_of_run
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("stage_release", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, chosen = use_case_named(request.use_case), version_of_run(RunFolder(request.run_dir))
        release = stage(use_case.name, chosen.version, digest=chosen.digest, why=chosen.why)
        set_alias(use_case.name, CHALLENGER, chosen.version)
        receipt.figures.update(version=chosen.version, generation=release.generation)
        receipt.links["Model version"] = version_url(use_case.name, chosen.version)


if __name__ == "__main__":
    main()
