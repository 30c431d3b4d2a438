"""Build a feed's tables for every partition that has landed, each checked before anyone can read it.

**Starts** when a producer has laid the marker `_READY` beside a partition's files in the landing zone, or by hand.

**Does** claim the markers, then stage by stage build the tables of each partition: read, row contract (rows that break it
go to the quarantine table), Great Expectations checks, publish. A stage waits for the one before it in *all* partitions, because
a month's features look back into the month before. A partition that fails stops there, the others go on, and the run ends
as failed. Months that look back into a corrected one are built again, as far as that changes them, and so are those of other feeds whose
tables read it: their ingest starts. Models that were trained on what was replaced are flagged in MLflow.

**Emits** one event per finished partition, which starts the scoring (features) or the drift check (outcomes).

**When it fails** the task's log and receipt name the value, the limit and the remedy. Land corrected files with a new marker, or clear
the failed task.
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import chain

from operators.build_stages import build_stages
from operators.dag_defaults import asset, landing, partitions_param, use_case_dag
from operators.job import Job
from use_cases import declared_use_cases

ANY_LANDED = partitions_param(description="Months such as `2013-01..2013-03,2013-05`. Empty: every partition with a marker.")

for use_case in declared_use_cases():
    for feed in use_case.feeds:
        with use_case_dag(
            use_case,
            feed.dag,
            title=f"Ingest {feed.name}",
            doc=__doc__,
            schedule=[landing(use_case, feed)],
            deadline=timedelta(minutes=30),
            params=ANY_LANDED,
        ):
            arguments = {"feed": feed.name, "partitions": "{{ params.partitions or '' }}"}
            found = Job(task_id="find_new_files", task_display_name="Find new files", arguments=arguments, hands_over="builds")
            built = build_stages(feed.stages, of=found, emits=asset(use_case, feed.emits))
            chain(found, *built)
            [found, *built] >> EmptyOperator(task_id="all_built", task_display_name="All built", trigger_rule="none_failed")
