"""The steps of a release, from the version that a run has to the one that serves: the same in every DAG that releases."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Asset, BaseOperator, chain

from operators.alerts import RollbackAlert
from operators.job import Job


def release_steps(*, emits: Asset) -> list[BaseOperator]:
    """Load beside the live model, probe, shadow, canary, promote, released: in order, and when one fails, *Roll back*.

    The job before them leaves a receipt that names the version (docs/architecture.md). `emits`: told when it is promoted.
    """
    # a step before it may be skipped, such as an approval that nobody asked for, but not all of them
    stage = Job(task_id="stage_release", task_display_name="Load beside the live model", trigger_rule="none_failed_min_one_success")
    probe = Job(task_id="probe_release", task_display_name="Probe with real rows")
    shadow = Job(task_id="shadow_release", task_display_name="Shadow: copies of requests")
    canary = Job(task_id="canary_release", task_display_name="Canary: some of the requests")
    promote = Job(task_id="promote_release", task_display_name="Promote", outlets=[emits])
    roll_back = Job(
        task_id="roll_back_release", task_display_name="Roll back", trigger_rule="one_failed", on_success_callback=RollbackAlert()
    )  # fmt: skip
    released = EmptyOperator(task_id="released", task_display_name="Released")
    steps = [stage, probe, shadow, canary, promote]
    chain(*steps, released)
    steps >> roll_back
    return [*steps, released]
