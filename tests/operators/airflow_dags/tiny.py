"""One task for each way in which a job can end, and the stages of an ingest with a partition that fails on the way."""

from datetime import timedelta
from typing import ClassVar

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, Param

from operators.build_stages import build_stages
from operators.job import Job, SparkJob

SparkJob.module = "tests.operators.tiny_job"  # type: ignore[assignment, method-assign]


class TinyJob(Job):
    module: ClassVar[str] = "tests.operators.tiny_job"  # type: ignore[assignment]


ARGS = {"use_case": "flight_eta", "job": "tiny_job", "retries": 1, "retry_delay": timedelta(0)}

with DAG("ends", schedule=None, default_args=ARGS, params={"month": Param("2013-04")}) as ends:
    done = TinyJob(task_id="done", partition="{{ params.month }}", outlets=[Asset("tiny/done")])
    TinyJob(task_id="says_no", arguments={"feed": "answer_is_no"}, outlets=[Asset("tiny/no")]) >> EmptyOperator(task_id="after_no")
    TinyJob(task_id="refuses", arguments={"feed": "bad_request"})
    TinyJob(task_id="fails_once", arguments={"feed": "fails_once"}, job="tiny_job")
    TinyJob(task_id="harmful", arguments={"feed": "x; rm -rf /"})

with DAG("ingests", schedule=None, default_args={"use_case": "flight_eta", "job": "tiny_job"}):
    found = TinyJob(task_id="find", hands_over="builds")
    built = build_stages([["raw_rows"], ["clean_rows"], ["features"]], of=found, emits=Asset("tiny/features"))
    [found, *built] >> EmptyOperator(task_id="all_built", trigger_rule="none_failed")

with DAG("ingests_nothing", schedule=None, default_args={"use_case": "flight_eta", "job": "tiny_job"}):
    nothing = TinyJob(task_id="find", arguments={"feed": "answer_is_no"}, hands_over="builds")
    built = build_stages([["raw_rows"], ["features"]], of=nothing, emits=Asset("tiny/features"))
    [nothing, *built] >> EmptyOperator(task_id="all_built", trigger_rule="none_failed")
