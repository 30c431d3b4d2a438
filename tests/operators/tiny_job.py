"""A job as small as a job can be, run as a real process by the operators' tests. What it does depends on its arguments."""

from __future__ import annotations

import argparse

from roundtrip.contracts import errors, storage
from roundtrip.contracts.receipts import Figure, RunFolder, job_parser, receipt_for

LANDED, DEPENDENT = ("2013-01", "2013-02", "2013-03"), ("2013-04", "2013-05")
BUILDS: Figure = [{"partition": month, "dependent": month in DEPENDENT} for month in (*LANDED, *DEPENDENT)]


def main() -> None:
    parser = job_parser("tiny_job", "Says no, refuses, fails, or is done.")
    parser.add_argument("--feed", default="", help="what to do")
    parser.add_argument("--partition", default="")
    parser.add_argument("--tables", default="")
    request = parser.parse_args()
    request.job = "build_table" if request.tables else request.job
    parts = [f"{table}.{request.partition}" for table in request.tables.split(",")] if request.tables else [request.feed]
    for part in parts:
        with receipt_for(request, part=part) as receipt:
            print(f"tiny job at work on {part or 'nothing'}", flush=True)
            act(request)
            receipt.figures |= {"rows": 3, "builds": BUILDS, "unchanged": request.partition in ("2013-01", "2013-05")}
            receipt.links["MLflow run"] = "http://mlflow/run"


def act(request: argparse.Namespace) -> None:
    if request.feed == "answer_is_no":
        raise errors.AnswerIsNo("0.9 is less than 1.0: nothing to do")
    if request.feed == "bad_request":
        raise errors.BadRequest("no such month")
    if request.feed == "fails_once":
        fail_once(RunFolder(request.run_dir).file("tried"))
    if request.tables == "clean_rows" and request.partition == "2013-02":
        raise errors.RowsRejected("2013-02: 31 % of the rows are broken (limit 5 %)")


def fail_once(mark: str) -> None:
    if not storage.exists(mark):
        storage.write_bytes(mark, b"")
        raise errors.ServiceUnavailable("S3 is away")


if __name__ == "__main__":
    main()
