"""Compare what was predicted with what came true, and decide whether to train again.

**Starts** when a partition has both its predictions and its outcomes, or by hand.

**Does** collect the gateway's prediction log into a table; measure the drift of inputs (effect sizes), of predictions, and of the
performance against the baseline with a bootstrap interval; then lets the governor decide. Inputs that drift alone never
retrain: the loss must be large enough, its interval must exclude zero, and the cooldown and the budget must allow it.

**Emits** a retrain request for the partition when the decision is to retrain. Otherwise the last task is skipped, and its log and receipt
say what held the governor back.
"""

from datetime import timedelta

from airflow.sdk import PartitionedAssetTimetable

from operators.dag_defaults import THE_PARTITION, asset, partition_param, use_case_dag
from operators.job import Job, SparkJob
from use_cases import declared_use_cases

for use_case in declared_use_cases():
    with use_case_dag(
        use_case,
        "watch_drift",
        title="Watch for drift",
        doc=__doc__,
        schedule=PartitionedAssetTimetable(assets=asset(use_case, "predictions") & asset(use_case, "outcomes")),
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
        )
        collect >> measure >> decide
