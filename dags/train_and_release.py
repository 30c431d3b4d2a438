"""Train a candidate on pinned table versions, judge it, and release it step by step; whatever fails leaves the live model as it is.

**Starts** when the governor asks for a retrain (on everything up to the partition of the request), or by hand.

**Does** pin the tables (snapshot), look for a better recipe where the form asks for trials, train, evaluate on a held-out span with the
baseline and the champion on identical rows, and judge. A candidate that the gate refuses ends the run as skipped: that is an answer, not a
failure. One that passes is registered in MLflow, compiled with a proof of parity, loaded beside the live version, probed with real rows,
shown copies of the real requests, then given some of them to answer, and only then promoted.
The form's *Ask before the release* waits for your approval; its *Override the gate* lets a refused candidate on, with your name and reason,
which stay with the model version.

**When a release step fails** the candidate is unloaded, the champion keeps serving, and the run ends as failed. Where there is too little
traffic to judge the candidate by, it is paused: loaded, without traffic, until you clear the task.

**Emits** the new champion.
"""

from datetime import timedelta

from airflow.sdk import PartitionedAssetTimetable, chain

from operators.dag_defaults import approval_params, asset, override_params, partitions_param, training_params, tuning_params, use_case_dag
from operators.job import Job, TrainingJob
from operators.release_approval import ReleaseApproval
from operators.release_steps import release_steps
from use_cases import declared_use_cases

EVERYTHING = "..2099-12"
PARTITIONS = partitions_param(
    default=EVERYTHING,
    description="Months to train on: `2013-01..2013-03,2013-05`, or `..2013-06` for all that are built up to June. "
    f"`{EVERYTHING}`: all. A retrain request takes all up to its own month instead.",
)
BUDGET = {"trials": "{{ params.trials }}", "minutes": "{{ params.minutes }}", "parallel": "{{ params.parallel or '' }}"}
OVERRIDE = {"override-by": "{{ params.override_by or '' }}", "override-reason": "{{ params.override_reason or '' }}"}
THE_PARTITIONS = "{{ '..' ~ dag_run.partition_key if dag_run.partition_key else params.partitions }}"

for use_case in declared_use_cases():
    with use_case_dag(
        use_case,
        "train_and_release",
        title="Train and release",
        doc=__doc__,
        schedule=PartitionedAssetTimetable(assets=asset(use_case, "retrain_request")),
        deadline=timedelta(hours=1),
        params=PARTITIONS | tuning_params() | training_params(use_case) | approval_params() | override_params(),
    ):
        snapshot = Job(task_id="snapshot_dataset", task_display_name="Pin the dataset", arguments={"partitions": THE_PARTITIONS})
        tune = Job(task_id="tune_model", task_display_name="Tune", arguments=BUDGET)
        train = TrainingJob(task_id="train_model", task_display_name="Train", arguments={"ranks": "{{ params.ranks }}"})
        evaluate = Job(task_id="evaluate_model", task_display_name="Evaluate")
        judge = Job(task_id="judge_candidate", task_display_name="Judge the candidate", arguments=OVERRIDE)
        register = Job(task_id="register_model", task_display_name="Register")
        compile_ = Job(task_id="compile_model", task_display_name="Compile")

        approve = ReleaseApproval(
            task_id="approve_release", task_display_name="Ask for approval", asked="{{ params.approval }}", unit=use_case.outputs[0].unit
        )
        release = release_steps(emits=asset(use_case, "champion"))

        chain(snapshot, tune, train, evaluate, judge, register, compile_, approve, *release)
        compile_ >> release[0]
