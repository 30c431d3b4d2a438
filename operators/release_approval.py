"""A person's word before a candidate is loaded: asked only where the form of train_and_release says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowSkipException

from operators.job_environment import job_environment
from roundtrip.contracts.receipts import Figure, RunFolder

if TYPE_CHECKING:
    from airflow.sdk import Context

ANSWER_WITHIN = timedelta(days=2)
"""Silence counts as a no: a candidate that nobody looked at is never released."""


class ReleaseApproval(ApprovalOperator):
    """Shows candidate, champion and baseline side by side under *Required Actions*, and waits for *Approve* or *Reject*.

    :param asked: `True` where the form asks for an approval, templated; otherwise the task is skipped, and what follows goes on
    :param unit: of the label
    :param use_case: name of the use case, from the DAG's default arguments
    """

    template_fields = (*ApprovalOperator.template_fields, "asked")

    def __init__(self, *, asked: str, unit: str, use_case: str = "", **kwargs: Any) -> None:
        super().__init__(
            subject=f"Release the candidate of {use_case}?", body="", defaults=self.REJECT, response_timeout=ANSWER_WITHIN, **kwargs
        )
        self.asked = asked
        self.unit = unit

    def execute(self, context: Context) -> Any:
        if self.asked != "True":
            raise AirflowSkipException("the form asks for no approval")
        os.environ.update(job_environment(("aws_default",)))  # this process runs one task, and reads receipts itself
        folder = RunFolder.of(context["dag_run"].dag_id, context["dag_run"].run_id)
        registered = folder.receipt("register_model")
        self.subject = f"Release version {registered.figures['version']}?"
        links = " · ".join(f"[{title}]({address})" for title, address in registered.links.items() if address.startswith("http"))
        self.body = f"{side_by_side(folder.receipt('evaluate_model').figures, unit=self.unit)}\n\n{links}"
        return super().execute(context)


def side_by_side(evaluation: Mapping[str, Figure], *, unit: str) -> str:
    """What `evaluate_model` found, as a Markdown table: a line for each that answered the same held-out rows."""
    rows = [_row("candidate", evaluation["candidate"])]
    if evaluation.get("champion"):
        rows.append(_row(f"champion, version {evaluation['champion_version']}", evaluation["champion"]))
    if evaluation.get("yardstick"):
        rows.append(_row("boosted trees, which never serve", evaluation["yardstick"]))
    rows.append(f"| baseline | {evaluation['baseline_mae']:.2f} | | |")
    head = [f"{evaluation['held_out_rows']:,} held-out rows", "", f"| | MAE [{unit}] | skill (95 %) | inside the interval |", "|-|-|-|-|"]
    return "\n".join([*head, *rows])


def _row(name: str, found: Any) -> str:
    coverage = f"{found['coverage']:.1%}" if "coverage" in found else ""
    return f"| {name} | {found['mae']:.2f} | {found['skill']:.3f} ({found['skill_low']:.3f} to {found['skill_high']:.3f}) | {coverage} |"
