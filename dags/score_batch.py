"""Predict a partition with the live model, the way the gateway would have.

**Starts** when a partition of the features is ready, or by hand.

**Does** score every row of the partition with the champion's own compiled model and publish the predictions as a table, with the version
that made them. When no model is live yet there is nothing to do: the task is skipped, and so is the drift check.

**Emits** the partition's predictions; once its outcomes are there too, the drift check starts.
"""

from datetime import timedelta

from airflow.sdk import PartitionedAssetTimetable

from operators.dag_defaults import THE_PARTITION, asset, partition_param, use_case_dag
from operators.job import SparkJob
from use_cases import declared_use_cases

for use_case in declared_use_cases():
    with use_case_dag(
        use_case,
        "score_batch",
        title="Score a partition",
        doc=__doc__,
        schedule=PartitionedAssetTimetable(assets=asset(use_case, "features")),
        deadline=timedelta(minutes=20),
        params=partition_param(),
    ):
        SparkJob(
            task_id="score_batch",
            task_display_name="Score with the champion",
            partition=THE_PARTITION,
            outlets=[asset(use_case, "predictions")],
        )
