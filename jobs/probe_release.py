"""Ask Triton about real rows of the held-out span and compare its answers with ONNX Runtime's. A version that fails is not promoted."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.registry.version_folder import fetch
from roundtrip.serving.real_rows import held_out_columns
from roundtrip.serving.release_steps import probe
from roundtrip.serving.scoring import Scorer
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("probe_release", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, folder = use_case_named(request.use_case), RunFolder(request.run_dir)
        compiled = folder.receipt("compile_model").figures
        version, digest = str(compiled["version"]), str(compiled["manifest_sha256"])
        contract = Scorer(fetch(use_case.name, version, digest=digest)).contract
        found = probe(use_case.name, version, digest=digest, columns=held_out_columns(use_case, folder, contract))
        receipt.figures.update(version=version, probe_rows=found.rows, probe_max_abs_minutes=found.max_abs)


if __name__ == "__main__":
    main()
