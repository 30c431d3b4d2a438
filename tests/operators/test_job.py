"""Airflow runs the DAGs of airflow_dags/tiny.py (fixture `ran`); each task's job is a real process."""

from pathlib import Path

import pytest

from operators.job import Job, SparkJob, TrainingJob
from tests.operators.conftest import Ran


def test_a_job_that_is_done_hands_over_its_receipt_and_its_single_figures(ran: Ran) -> None:
    task = ran["ends"]["tasks"]["done[-1]"]
    assert task["state"] == "success"
    assert str(task["xcom"]["receipt"]).endswith("/receipts/tiny_job.json")
    assert task["xcom"]["rows"] == 3
    assert "partitions" not in task["xcom"]


def test_an_answer_that_is_no_skips_what_follows_and_says_why(ran: Ran) -> None:
    tasks = ran["ends"]["tasks"]
    assert (tasks["says_no[-1]"]["state"], tasks["after_no[-1]"]["state"]) == ("skipped", "skipped")
    assert tasks["says_no[-1]"]["xcom"]["reason"] == "AnswerIsNo: 0.9 is less than 1.0: nothing to do"


def test_a_wrong_request_fails_without_a_second_try(ran: Ran) -> None:
    task = ran["ends"]["tasks"]["refuses[-1]"]
    assert (task["state"], task["tries"]) == ("failed", 1)


def test_any_other_failure_is_tried_again(ran: Ran) -> None:
    task = ran["ends"]["tasks"]["fails_once[-1]"]
    assert (task["state"], task["tries"]) == ("success", 2)


def test_an_argument_of_the_wrong_form_never_starts_a_process(ran: Ran, airflow_home: Path) -> None:
    task = ran["ends"]["tasks"]["harmful[-1]"]
    assert (task["state"], task["tries"]) == ("failed", 1)
    assert not list((airflow_home / "roundtrip" / "jobs").glob("*harmful*"))


def test_an_event_is_about_the_tasks_own_partition_and_only_of_tasks_that_are_done(ran: Ran) -> None:
    assert ran["ends"]["events"] == [["tiny/done", "2013-04"]]


def test_links_are_those_of_the_receipt_and_files_open_through_the_api_server(ran: Ran) -> None:
    links = ran["ends"]["tasks"]["done[-1]"]["links"]
    assert links["mlflow_run"] == "http://mlflow/run"
    assert links["use_case"] == "http://airflow/roundtrip/use_cases/flight_eta"
    assert links["receipt"].startswith("http://airflow/roundtrip/reports/ends/manual__")
    assert links["checks"] == ""


def test_the_jobs_lines_are_in_the_tasks_log(ran: Ran, airflow_home: Path) -> None:
    assert "tiny job at work on nothing" in (airflow_home / "log").read_text()


@pytest.mark.parametrize("kind", [Job, TrainingJob])
def test_only_a_spark_job_gets_spark_s_address(kind: type[Job]) -> None:
    assert "spark_default" not in kind.connections
    assert "spark_default" in SparkJob.connections
