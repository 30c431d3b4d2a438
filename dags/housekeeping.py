"""Keep the tables small and fast, and throw away what is old, but nothing that a model was trained on.

**Starts** every night.

**Does** compact the tables' small files (optimize) and remove files that no kept table version needs (vacuum). A version that a
model's snapshot cites is never removed. Run folders go 400 days after their last job, but for those whose run registered a model version.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable

from operators.dag_defaults import use_case_dag
from operators.job import SparkJob
from use_cases import declared_use_cases

for use_case in declared_use_cases():
    with use_case_dag(
        use_case,
        "housekeeping",
        title="Keep house",
        doc=__doc__,
        schedule=CronTriggerTimetable("20 3 * * *", timezone="UTC"),
        deadline=timedelta(hours=1),
    ):
        SparkJob(task_id="keep_house", task_display_name="Compact and remove")
