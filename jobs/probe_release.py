"""Ask Triton about real rows of the version's held-out span and compare its answers with ONNX Runtime's. One that fails isn't promoted."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.receipts import SNAPSHOT_FILE, RunFolder, job_parser, receipt_for
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.registry.version_folder import fetch
from roundtrip.serving.real_rows import held_out_columns
from roundtrip.serving.release_steps import expected_shift, probe
from roundtrip.serving.scoring import Scorer
from roundtrip.serving.version_to_release import version_of_run
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("probe_release", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, folder = use_case_named(request.use_case), RunFolder(request.run_dir)
        chosen = version_of_run(folder)
        place = fetch(use_case.name, chosen.version, digest=chosen.digest)
        snapshot = Snapshot.from_json((place / SNAPSHOT_FILE).read_bytes())
        columns = held_out_columns(use_case, snapshot, Scorer(place).contract)
        found = probe(use_case.name, chosen.version, digest=chosen.digest, columns=columns)
        shift = expected_shift(use_case, chosen.version, digest=chosen.digest, columns=columns)
        receipt.figures.update(version=chosen.version, probe_rows=found.rows, probe_max_abs_minutes=found.max_abs)
        receipt.figures.update(expected_shift=shift.mean, expected_shift_spread=shift.spread)


if __name__ == "__main__":
    main()
