"""The steps of a release, from the version that a run has to the one that serves: the same in every DAG that releases."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Asset, BaseOperator, chain

from operators.job import Job


def release_steps(*, emits: Asset) -> list[BaseOperator]:
    """Load beside the live model, probe, promote, released: in order, and when one fails, *Roll back*.

    The job before them leaves a receipt that names the version (docs/architecture.md). `emits`: told when it is promoted.
    """
    stage = Job(task_id="stage_release", task_display_name="Load beside the live model")
    probe = Job(task_id="probe_release", task_display_name="Probe with real rows")
    promote = Job(task_id="promote_release", task_display_name="Promote", outlets=[emits])
    roll_back = Job(task_id="roll_back_release", task_display_name="Roll back", trigger_rule="one_failed")
    released = EmptyOperator(task_id="released", task_display_name="Released")
    steps = [stage, probe, promote]
    chain(*steps, released)
    steps >> roll_back
    return [*steps, released]
