"""Undo a release that failed: the candidate is unloaded; where it was live already, the version before it is live again."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.errors import AnswerIsNo, ReceiptMissing
from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.registry.mlflow_registry import CHAMPION, set_alias
from roundtrip.serving.release_steps import roll_back, tidy, wait_for_gateway
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("roll_back_release", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, folder = use_case_named(request.use_case), RunFolder(request.run_dir)
        version = registered_version(folder)
        release = roll_back(use_case.name, version, why=f"run {request.run_dir} failed")
        wait_for_gateway(release)
        if release.live is not None:
            set_alias(use_case.name, CHAMPION, release.live.version)
        tidy(release)
        live = release.live.version if release.live else None
        receipt.figures.update(version=version, live_version=live, generation=release.generation)


def registered_version(folder: RunFolder) -> str:
    """The version that this run registered. Airflow's one_failed also fires when a task long before it failed: then the answer is no."""
    try:
        return str(folder.receipt("register_model").figures["version"])
    except ReceiptMissing as missing:
        raise AnswerIsNo("this run registered no version: there is nothing to roll back.") from missing


if __name__ == "__main__":
    main()
