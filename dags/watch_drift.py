"""Compare what was predicted with what came true, and decide whether to train again.

**Starts** when a partition has both its predictions and its outcomes (or either, where the use case says that outcomes come late), or
by hand.

**Does** collect the gateway's prediction log into a table; measure the drift of inputs, of how they go together, of predictions and
errors (effect sizes with intervals), the performance against the baseline, and what a refit would gain; then lets the governor decide.
Inputs that drift alone never retrain, nor does a hard month: a refit must gain enough, for certain, and the cooldown and the budget
must allow it. Bad data is to be fixed, and the receipt names the column and its source.

**Emits** a retrain request for the partition when the decision is to retrain, once for a partition and model version. Otherwise the last
task is skipped, and its log and receipt say what held the governor back. When the model decayed or the data is broken, people are told
(docs/page.md, "Alerts").
"""

from datetime import timedelta

from airflow.sdk import PartitionedAssetTimetable

from operators.alerts import VerdictAlert
from operators.dag_defaults import THE_PARTITION, asset, partition_param, use_case_dag, worth_measuring
from operators.job import Job, SparkJob
from use_cases import declared_use_cases

for use_case in declared_use_cases():
    with use_case_dag(
        use_case,
        "watch_drift",
        title="Watch for drift",
        doc=__doc__,
        schedule=PartitionedAssetTimetable(assets=worth_measuring(use_case)),
        deadline=timedelta(minutes=20),
        params=partition_param(),
    ):
        collect = SparkJob(task_id="collect_predictions", task_display_name="Collect predictions", partition=THE_PARTITION)
        measure = Job(task_id="measure_drift", task_display_name="Measure drift", partition=THE_PARTITION)
        decide = Job(
            task_id="decide_retrain",
            task_display_name="Decide on a retrain",
            partition=THE_PARTITION,
            outlets=[asset(use_case, "retrain_request")],
            on_success_callback=VerdictAlert(),
            on_skipped_callback=VerdictAlert(),
        )
        collect >> measure >> decide
