"""The operators: each launches `python -m jobs.<job>` in its own way, watches it, and hands over its receipt.

A job is a detached process (operators/detached_process.py). The attempt's name goes to Airflow's task state store, so the next
try of a task whose worker or scheduler was killed finds the running job, or its exit code, instead of starting another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from airflow.sdk import BaseOperator, ResumableJobMixin
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from operators.arguments import command_line, receipt_parts
from operators.detached_process import Attempt, attempt_named, submit
from operators.job_environment import job_environment
from operators.links import LINKS
from operators.receipt_summary import links_of, summary_of
from roundtrip.contracts import storage
from roundtrip.contracts.errors import AnswerIsNo, BadRequest
from roundtrip.contracts.names import checked_name, folder_name
from roundtrip.contracts.receipts import Figure, Receipt, RunFolder
from roundtrip.contracts.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pydantic import JsonValue


class Job(ResumableJobMixin, BaseOperator):
    """A plain process. Its XCom: the receipt's address and the figures that are single values.

    :param use_case: name of the use case, from the DAG's default arguments
    :param job: module of jobs/; the task's id when left out
    :param arguments: further arguments of the job (operators/arguments.py), templated; one that renders empty is left out
    :param partition: the job's `--partition`, templated; also the partition of the asset events that the task emits
    :param hands_over: the figure to return instead of the receipt's summary, for tasks that are mapped over it
    """

    external_id_key = "attempt"
    template_fields: Sequence[str] = ("arguments", "partition")
    operator_extra_links = LINKS
    ui_color = "#e8f0fe"
    connections: ClassVar[tuple[str, ...]] = ("aws_default", "mlflow_default", "triton_default")
    """The Connections whose addresses and credentials the job gets."""

    def __init__(
        self,
        *,
        use_case: str = "",
        job: str = "",
        arguments: Mapping[str, str] | None = None,
        partition: str = "",
        hands_over: str = "",
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.use_case = use_case
        self.job = job or self.task_id
        self.arguments = arguments or {}
        self.partition = partition
        self.hands_over = hands_over
        self.receipt_links: dict[str, str] = {}
        self.attempt: Attempt | None = None

    def execute(self, context: Context) -> Figure:
        os.environ.update(job_environment(self.connections))  # this process runs one task, and reads the job's receipts itself
        self.execute_resumable(context)  # its own result is empty after a reconnect
        return self._hand_over(context)

    def on_kill(self) -> None:
        """Somebody marked the task failed, cleared it, or shut the worker down in good order: the job goes with it."""
        if self.attempt is not None:
            self.attempt.stop()

    def submit_job(self, context: Context) -> str:
        dag_run, map_index = context["dag_run"], context["ti"].map_index
        key = folder_name(f"{dag_run.dag_id}.{dag_run.run_id}.{self.task_id}.{map_index}")
        try:
            argv = self.argv(context)
        except BadRequest as error:
            raise AirflowFailException(str(error)) from error
        return submit(_jobs_folder(), key, argv, environment=job_environment(self.connections)).name

    def get_job_status(self, external_id: JsonValue, context: Context) -> str:
        attempt = attempt_named(_jobs_folder(), str(external_id))
        return attempt.state() if attempt.exit_code() is None else f"exit code {attempt.exit_code()}"

    def is_job_active(self, status: str) -> bool:
        return status == "running"

    def is_job_succeeded(self, status: str) -> bool:
        return status == "exit code 0"

    def poll_until_complete(self, external_id: JsonValue, context: Context) -> None:
        """Stream the job's log into the task's until it is over; raises what its exit code stands for (docs/architecture.md)."""
        self.attempt = attempt_named(_jobs_folder(), str(external_id))
        for line in self.attempt.log_lines():
            self.log.info(line)
        exit_code = self.attempt.exit_code()
        if exit_code != 0:
            raise self._failure(exit_code, context)

    def get_job_result(self, external_id: JsonValue, context: Context) -> None:
        """Nothing: `execute` hands over the receipt on every path."""

    def argv(self, context: Context) -> list[str]:
        """The command that anyone could type; raises BadRequest when an argument is not of its form."""
        use_case = checked_name(self.use_case, what="use case")
        run_folder = self._run_folder(context).uri
        return [sys.executable, "-m", self.module, "--use-case", use_case, "--run-dir", run_folder, *command_line(self._arguments())]

    @property
    def module(self) -> str:
        return f"jobs.{self.job}"

    def _arguments(self) -> dict[str, str]:
        return {**self.arguments, "partition": self.partition}

    def _run_folder(self, context: Context) -> RunFolder:
        return RunFolder.of(context["dag_run"].dag_id, context["dag_run"].run_id)

    def _hand_over(self, context: Context) -> Figure:
        folder, receipts = self._run_folder(context), self._receipts(context)
        summary = summary_of(receipts, folder)
        self.receipt_links = links_of(receipts, folder)
        self._emit(context)
        if not self.hands_over:
            return summary
        context["ti"].xcom_push(key="summary", value=summary)
        return receipts[0].figures[self.hands_over]

    def _receipts(self, context: Context) -> list[Receipt]:
        """Of a job that got done, one per part."""
        return [self._run_folder(context).receipt(self.job, part) for part in receipt_parts(self._arguments())]

    def _emit(self, context: Context) -> None:
        """Tell which partition the task's asset events are about."""
        if self.partition:
            for outlet in self.outlets:
                context["outlet_events"][outlet].add_partitions(self.partition)

    def _failure(self, exit_code: int | None, context: Context) -> AirflowException:
        """The exception for a job that is not done, with its receipts' reasons."""
        folder = self._run_folder(context)
        left = [receipt for part in receipt_parts(self._arguments()) if (receipt := self._left(folder, part))]
        undone = [receipt for receipt in left if receipt.answer != "done"]
        self.receipt_links = links_of([*undone, *left], folder)
        reason = "; ".join(receipt.reason for receipt in undone) or "it left no receipt, see the log above"
        code = max((receipt.exit_code for receipt in undone), default=exit_code)
        if code == AnswerIsNo.exit_code:
            context["ti"].xcom_push(key="return_value", value=summary_of(undone, folder) | {"answer": "no", "reason": reason})
            return AirflowSkipException(reason)
        if code == BadRequest.exit_code:
            return AirflowFailException(reason)
        if exit_code is None:
            return AirflowException(f"{self.job} was lost: its processes were killed")
        return AirflowException(f"{self.job} ended with {code}: {reason}")

    def _left(self, folder: RunFolder, part: str) -> Receipt | None:
        """The receipt of this attempt, not one that an earlier attempt left."""
        with suppress(FileNotFoundError):
            receipt = Receipt.from_json(storage.read_bytes(folder.receipt_uri(self.job, part)))
            if self.attempt is not None and datetime.fromisoformat(receipt.started_at) >= self.attempt.started_at():
                return receipt
        return None


class SparkJob(Job):
    """A process that works through the Spark Connect server: the only kind that may write Delta tables."""

    ui_color = "#fff4e0"
    connections = (*Job.connections, "spark_default")


class TrainingJob(Job):
    """A job that becomes torchrun, with as many ranks as its argument `ranks` says (roundtrip/training/ranks.py)."""

    ui_color = "#e6f4ea"
    connections = ("aws_default", "mlflow_default")


def _jobs_folder() -> Path:
    return settings().home_path / "jobs"
