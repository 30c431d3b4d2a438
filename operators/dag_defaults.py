"""What all DAGs have in common, in one place: ids, owner, tags, retries, deadline, documentation, and the form's fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from airflow.sdk import (
    DAG,
    Asset,
    AssetAll,
    AssetAny,
    AssetWatcher,
    CronTriggerTimetable,
    Param,
    PartitionedAssetTimetable,
)
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from operators.alerts import FailureAlert
from operators.arguments import MOST_MINUTES, MOST_RANKS, MOST_TRIALS, MOST_VERSIONS
from operators.deadlines import warn_of_missed_deadline
from operators.landing_trigger import LandingMarkerTrigger
from roundtrip.contracts.names import MONTH, MOST_CHARACTERS
from roundtrip.contracts.use_cases import Feed, UseCase

RETRIES = {"retries": 3, "retry_delay": timedelta(seconds=5), "retry_exponential_backoff": 2.0, "max_retry_delay": timedelta(minutes=5)}
"""Tries after 10–20, 20–40 and 40–80 s (Airflow doubles before the first one, and adds up to as much again): a service that is
away for a minute fails no run."""

USUAL_RUNTIME = DeadlineReference.AVERAGE_RUNTIME(max_runs=10, min_runs=1)
"""What a deadline counts from. DAGRUN_QUEUED_AT would do for the first run too, but then clearing a run fails (apache/airflow#70368)."""

THE_PARTITION = "{{ dag_run.partition_key or params.partition or '' }}"
"""The partition of the event that started the run, or the one of the form."""

ASKED = {"why": "{{ params.why }}", "by": "{{ params.by or dag_run.triggering_user_name or '' }}"}
"""The arguments of a job that does what a person asked for: the fields of `asked_params`, or who started the run."""

_RANGE = rf"{MONTH}(\.\.{MONTH})?"
_LIST = rf"{_RANGE}(,{_RANGE})*"
_FREE_TEXT = r"^[^\s-][^\r\n]*$"
_NO_NEWLINE = r"(?![\s\S])"
"""`$` alone also matches before a newline at the end."""


def use_case_dag(
    use_case: UseCase,
    name: str,
    *,
    title: str,
    doc: str | None,
    schedule: CronTriggerTimetable | PartitionedAssetTimetable | Sequence[Asset] | None,
    deadline: timedelta,
    params: Mapping[str, Param] | None = None,
) -> DAG:
    """The DAG `<use case>.<name>`; `doc` is the docstring of its file, `deadline` how much longer than usual a run may take before
    a warning is due.

    One run at a time: all share one Spark server, and a second training would fight the first for the cores.
    """
    return DAG(
        dag_id=f"{use_case.name}.{name}",
        dag_display_name=f"{use_case.title}: {title}",
        description=(doc or "").strip().partition("\n")[0],
        doc_md=doc,
        schedule=schedule,
        tags=[use_case.name, name],
        params=dict(params or {}),
        deadline=DeadlineAlert(reference=USUAL_RUNTIME, interval=deadline, callback=AsyncCallback(warn_of_missed_deadline)),
        default_args={"owner": use_case.owner, "use_case": use_case.name, "on_failure_callback": FailureAlert(), **RETRIES},
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
    )


def asset(use_case: UseCase, name: str) -> Asset:
    """`<use case>/<name>`: its events say that a partition of it is ready."""
    return Asset(name=f"{use_case.name}/{name}", group=use_case.name)


def worth_measuring(use_case: UseCase) -> AssetAll | AssetAny:
    """What starts a drift check of a partition: its predictions and its outcomes, or either where outcomes come late."""
    predictions, outcomes = asset(use_case, "predictions"), asset(use_case, "outcomes")
    return AssetAny(predictions, outcomes) if use_case.outcomes_come_late else AssetAll(predictions, outcomes)


def landing(use_case: UseCase, feed: Feed) -> Asset:
    """The landing zone of a feed, watched for markers."""
    trigger = LandingMarkerTrigger(use_case=use_case.name, feed=feed.name)
    watcher = AssetWatcher(name=f"{use_case.name}_{feed.name}_markers", trigger=trigger)
    return Asset(name=f"{use_case.name}/landing/{feed.name}", group=use_case.name, watchers=[watcher])


def partition_param() -> dict[str, Param]:
    """The form of a DAG that works on one partition."""
    return {
        "partition": Param(
            None, type=["null", "string"], pattern=f"^{MONTH}${_NO_NEWLINE}", title="Partition", section="What to work on",
            description_md="A month such as `2013-04`. Runs that an asset event starts take the event's partition instead.",
        )
    }  # fmt: skip


def partitions_param(*, description: str, default: str | None = None) -> dict[str, Param]:
    """The form's field for a list of months."""
    return {
        "partitions": Param(
            default, type=["null", "string"], pattern=rf"^((\.\.)?{MONTH}|{_LIST})${_NO_NEWLINE}", maxLength=400, title="Partitions",
            section="What to work on", description_md=description,
        )
    }  # fmt: skip


def training_params(use_case: UseCase) -> dict[str, Param]:
    """The form's fields for how to train, and why."""
    return {
        "ranks": Param(
            use_case.recipe.ranks, type="integer", minimum=1, maximum=MOST_RANKS, title="Ranks", section="How to train",
            description_md="Training processes that torchrun starts. More than this machine has cores slows all of them down.",
        ),
        "reason": Param(
            None, type=["null", "string"], maxLength=MOST_CHARACTERS, title="Reason", section="For the record",
            description_md="Why this run was started by hand; kept with the run's configuration.",
        ),
    }  # fmt: skip


def tuning_params() -> dict[str, Param]:
    """The form's fields for whether, and how long, a better recipe is looked for."""
    return {
        "trials": Param(
            0, type="integer", minimum=0, maximum=MOST_TRIALS, title="Trials", section="How to tune",
            description_md="Recipes to try before training. 0: none, the declared recipe is trained.",
        ),
        "minutes": Param(
            30, type="integer", minimum=1, maximum=MOST_MINUTES, title="Minutes", section="How to tune",
            description_md="Most that the trials may take together; those still running then are ended.",
        ),
        "parallel": Param(
            None, type=["null", "integer"], minimum=1, maximum=MOST_RANKS, title="Trials at a time", section="How to tune",
            description_md="Left empty: one for each core of this machine.",
        ),
    }  # fmt: skip


def approval_params() -> dict[str, Param]:
    """The form's field with which a person wants to be asked."""
    return {
        "approval": Param(
            False, type="boolean", title="Ask before the release", section="Approval",
            description_md="The compiled candidate waits under *Required Actions*, beside champion and baseline, until somebody approves. "
            "Without an answer within two days it is rejected.",
        )
    }  # fmt: skip


def override_params() -> dict[str, Param]:
    """The form's fields with which a person lets a candidate on that the gate refuses."""
    described = {
        "override_by": ("Overridden by", "Your name: with it and a reason, a candidate that the gate refuses is released nevertheless."),
        "override_reason": ("Reason of the override", "Why. Both are kept in the receipt, in MLflow and in the model card."),
    }
    return {
        name: Param(
            None, type=["null", "string"], pattern=f"{_FREE_TEXT}{_NO_NEWLINE}", maxLength=MOST_CHARACTERS, title=title,
            section="Override the gate", description_md=text,
        )
        for name, (title, text) in described.items()
    }  # fmt: skip


def version_param() -> dict[str, Param]:
    """The form's field for a model version. It has no default: the form can't be sent without it."""
    return {
        "version": Param(
            type="integer", minimum=1, maximum=MOST_VERSIONS, title="Version", section="What to release",
            description_md="Number in the registry, such as 3. One that was refused, or is not published, is not released.",
        )
    }  # fmt: skip


def asked_params() -> dict[str, Param]:
    """The form's fields for what a person asks for by hand: why, which the form can't be sent without, and who."""
    return {
        "why": Param(
            type="string", pattern=f"{_FREE_TEXT}{_NO_NEWLINE}", maxLength=MOST_CHARACTERS, title="Why", section="For the record",
            description_md="Kept in the release's history.",
        ),
        "by": Param(
            None, type=["null", "string"], pattern=f"{_FREE_TEXT}{_NO_NEWLINE}", maxLength=MOST_CHARACTERS, title="Asked by",
            section="For the record", description_md="Left empty: who starts the run.",
        ),
    }  # fmt: skip
