"""Undo a release: the candidate is unloaded; where it was live already, the version before it is live again.

Of a run that failed it is the version that the run was to release; of a roll back by hand the one that served when it began.
"""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts import storage
from roundtrip.contracts.errors import AnswerIsNo, ReceiptMissing
from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.serving.going_back import go_back, settle
from roundtrip.serving.release_steps import wait_for_gateway
from roundtrip.serving.version_to_release import version_of_run
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("roll_back_release", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, folder = use_case_named(request.use_case), RunFolder(request.run_dir)
        version, why = what_to_take_out(folder)
        release = go_back(use_case.name, version, why=why)
        wait_for_gateway(release)
        settle(release)
        live = release.live.version if release.live else None
        receipt.figures.update(version=version, live_version=live, generation=release.generation)


def what_to_take_out(folder: RunFolder) -> tuple[str, str]:
    """The version, and why. Raises AnswerIsNo when this run has changed nothing that could be undone.

    Airflow's one_failed also fires when a task long before the release failed.
    """
    if storage.exists(folder.receipt_uri("find_live_version")):
        asked = folder.receipt("find_live_version").figures
        return str(asked["version"]), str(asked["why"])
    try:
        chosen = version_of_run(folder)
    except ReceiptMissing as missing:
        raise AnswerIsNo("this run came to no version: there is nothing to roll back.") from missing
    if chosen.live_before:
        raise AnswerIsNo(f"version {chosen.version} was live before this run: it goes on serving.")
    return chosen.version, f"run {folder.uri} failed"


if __name__ == "__main__":
    main()
