"""Export and compile the registered version, prove that it answers as the trained model does, and publish its immutable folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.serving.compile_candidate import compile_candidate
from roundtrip.training.chosen_recipe import use_case_of_run
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("compile_model", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        folder = RunFolder(request.run_dir)
        version = str(folder.receipt("register_model").figures["version"])
        published = compile_candidate(use_case_of_run(use_case_named(request.use_case), folder), folder, version)
        receipt.figures.update(
            version=version,
            engine=published.compiled.engine,
            engine_why=published.compiled.why,
            rtx_build=published.compiled.rtx_build,
            parity_rows=published.compiled.parity.rows,
            parity_max_abs_minutes=published.compiled.parity.max_abs,
            timings=[asdict(timing) for timing in published.compiled.timings],
            manifest_sha256=published.digest,
        )


if __name__ == "__main__":
    main()
