"""Run folders and receipts: how one job tells the next what it did.

A run folder is a URI (`<storage root>/runs/<dag id>/<run id>`); each job leaves one receipt there, `receipts/<job>[.<part>].json`.
`part` tells several runs of one job in one run folder apart, such as the table and partition that `build_table` built.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from roundtrip.contracts import storage
from roundtrip.contracts.errors import AnswerIsNo, ReceiptMissing, RoundtripError
from roundtrip.contracts.names import folder_name
from roundtrip.contracts.openlineage_events import tell
from roundtrip.contracts.settings import REPOSITORY, settings

log = logging.getLogger(__name__)

SNAPSHOT_FILE, EVALUATION_FILE = "snapshot.json", "evaluation.json"
"""What a model was trained on, in its run folder, and how good it was: both go with the version, since run folders are pruned."""

Figure = float | int | str | bool | None | list["Figure"] | dict[str, "Figure"]
"""What a receipt may hold: anything that JSON can."""


@dataclass(frozen=True)
class TableVersion:
    """A Delta table at one version, and how many of its rows the job read or wrote."""

    table: str
    uri: str
    version: int
    rows: int


@dataclass
class Receipt:
    """What one job did. `answer` is done, no (exit code 10) or failed; `reason` says why it is not done."""

    job: str
    use_case: str
    part: str = ""
    answer: str = "done"
    reason: str = ""
    exit_code: int = 0
    """Of the job (docs/architecture.md, "Exit codes"). torchrun ends with 1 whatever its ranks ended with: operators read it here."""
    inputs: list[TableVersion] = field(default_factory=list)
    outputs: list[TableVersion] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    """URI → SHA-256 of each landed file that the job read."""
    figures: dict[str, Figure] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    """Title → address a person can open (MLflow run, report), shown on the Airflow task."""
    started_at: str = ""
    seconds: float = 0.0
    code_commit: str = ""

    @classmethod
    def from_json(cls, content: bytes) -> Receipt:
        values = json.loads(content)
        for side in ("inputs", "outputs"):
            values[side] = [TableVersion(**entry) for entry in values[side]]
        return cls(**values)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run of a DAG, by URI."""

    uri: str

    @classmethod
    def of(cls, dag_id: str, run_id: str) -> RunFolder:
        """The run folder of a run of a DAG, below the storage root."""
        return cls(storage.join(settings().storage_root, "runs", dag_id, folder_name(run_id)))

    def file(self, *parts: str) -> str:
        """URI of a file in the run folder."""
        return storage.join(self.uri, *parts)

    def receipt_uri(self, job: str, part: str = "") -> str:
        return self.file("receipts", f"{job}.{part}.json" if part else f"{job}.json")

    def write_receipt(self, receipt: Receipt) -> None:
        content = json.dumps(asdict(receipt), indent=2, allow_nan=False).encode()
        storage.write_bytes(self.receipt_uri(receipt.job, receipt.part), content)

    def receipt(self, job: str, part: str = "") -> Receipt:
        """The receipt that `job` left; raises ReceiptMissing when it left none or did not get done."""
        uri = self.receipt_uri(job, part)
        try:
            receipt = Receipt.from_json(storage.read_bytes(uri))
        except FileNotFoundError:
            raise ReceiptMissing(f"no receipt {uri}: run `python -m jobs.{job}` with this --run-dir first.") from None
        if receipt.answer != "done":
            raise ReceiptMissing(f"{uri} says {receipt.answer!r} ({receipt.reason}): run `python -m jobs.{job}` again first.")
        return receipt


def job_parser(job: str, description: str) -> argparse.ArgumentParser:
    """The parser of a job, with the two arguments that every job takes."""
    parser = argparse.ArgumentParser(prog=f"python -m jobs.{job}", description=description)
    parser.set_defaults(job=job)
    parser.add_argument("--use-case", required=True, help="name of the use case, a folder of use_cases/")
    parser.add_argument("--run-dir", required=True, help="URI of the run folder, s3://… or file:///…")
    return parser


@contextmanager
def receipt_for(request: argparse.Namespace, *, part: str = "") -> Iterator[Receipt]:
    """The receipt of this job, timed, and written to the run folder however the job ends.

    Ends the process with the error's exit code when a RoundtripError leaves the block: 10 the answer is no,
    20 bad data or request, 1 worth a retry. Any other exception is a bug or an outage: it keeps its traceback (exit code 1).
    """
    receipt = Receipt(request.job, request.use_case, part, started_at=datetime.now(UTC).isoformat(), code_commit=code_commit())
    started = time.monotonic()
    try:
        yield receipt
    except RoundtripError as error:
        receipt.answer = "no" if isinstance(error, AnswerIsNo) else "failed"
        receipt.exit_code, receipt.reason = error.exit_code, f"{type(error).__name__}: {error}"
        print(receipt.reason, file=sys.stderr, flush=True)
        raise SystemExit(error.exit_code) from error
    except BaseException as error:
        receipt.answer, receipt.exit_code, receipt.reason = "failed", 1, f"{type(error).__name__}: {error}"
        raise
    finally:
        receipt.seconds = round(time.monotonic() - started, 3)
        _write_or_say_so(RunFolder(request.run_dir), receipt)
        tell(receipt, request.run_dir)


def code_commit() -> str:
    """The commit that this checkout stands at, with `+` for uncommitted changes; `unknown` outside a git checkout."""
    described = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return described.stdout.strip() or "unknown"


def _write_or_say_so(folder: RunFolder, receipt: Receipt) -> None:
    """A receipt of a job that got done must be written; one of a failing job must not hide the failure."""
    try:
        folder.write_receipt(receipt)
    except Exception:
        if receipt.answer == "done":
            raise
        log.exception("could not write the receipt of the failed job %s to %s", receipt.job, folder.uri)
