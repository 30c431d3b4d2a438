"""Let rows out of quarantine that a mended contract lets pass, into the tables and all that follows from them.

**Starts** by hand, after schema.yaml, or the code that reads files, was mended. `roundtrip quarantine list` shows what waits, and why.

**Does**, for each feed, find the months in which rows wait that were judged by another contract than the present one, and start the feed's
ingest for them. There the tables whose contract changed are built from their input again, checked and published as ever; rows that pass
now are in the table, and marked in the quarantine with the run that let them pass. Nothing happens twice, however often it is started.
When no contract changed since, the tasks are skipped and say so.
"""

from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

from operators.dag_defaults import partitions_param, use_case_dag
from operators.job import Job
from use_cases import declared_use_cases

ANY_MONTH = partitions_param(description="Only these months, such as `2013-01..2013-03,2013-05`. Empty: every month in which rows wait.")

for use_case in declared_use_cases():
    with use_case_dag(
        use_case,
        "replay_quarantine",
        title="Replay the quarantine",
        doc=__doc__,
        schedule=None,
        deadline=timedelta(hours=1),
        params=ANY_MONTH,
    ):
        for feed in use_case.feeds:
            found = Job(
                task_id=f"find_quarantined_{feed.name}",
                task_display_name=f"Find quarantined {feed.name}",
                job="find_quarantined",
                arguments={"feed": feed.name, "partitions": "{{ params.partitions or '' }}"},
            )
            found >> TriggerDagRunOperator(
                task_id=f"{feed.dag}_again",
                task_display_name=f"Ingest {feed.name} again",
                trigger_dag_id=f"{use_case.name}.{feed.dag}",
                conf={"partitions": f"{{{{ ti.xcom_pull(task_ids='{found.task_id}')['partitions'] }}}}"},
                wait_for_completion=True,
                deferrable=True,
            )
