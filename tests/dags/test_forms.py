"""What a person types into a trigger form, or sends as `conf`, is checked before a run starts; `partition_key` wins over the form."""

from copy import copy
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from operators.job import Job

HARMFUL = [
    "2013-01; rm -rf /",
    "$(id)",
    "' OR 1=1 --",
    "2013-01\n",
    "2013-13",
    "../../etc/passwd",
    "--run-dir=/tmp",
    "",
    "2013-01,",
    "2013-1",
]


ONLY_A_PERSON_KNOWS = [("flight_eta.release", "version"), ("flight_eta.release", "why"), ("flight_eta.roll_back", "why")]
"""Fields without a default: (DAG, param)."""


def refuses(dag: DAG, **values: object) -> bool:
    try:
        for name, value in values.items():
            copy(dag.params.get_param(name)).resolve(value)  # it keeps the value
    except ParamValidationError:
        return True
    return False


def rendered(dag: DAG, task_id: str, argument: str, *, partition_key: str | None, **params: object) -> str:
    task = dag.get_task(task_id)
    assert isinstance(task, Job)
    template = task.partition if argument == "partition" else task.arguments[argument]
    run = SimpleNamespace(partition_key=partition_key, triggering_user_name="admin")
    return dag.get_template_env().from_string(template).render(dag_run=run, params={**dag.params.dump(), **params})


@pytest.mark.parametrize("value", HARMFUL)
def test_a_harmful_or_mistyped_month_is_refused(dags: dict[str, DAG], value: str) -> None:
    assert refuses(dags["flight_eta.score_batch"], partition=value)
    assert refuses(dags["flight_eta.watch_drift"], partition=value)
    assert refuses(dags["flight_eta.ingest"], partitions=value)
    assert refuses(dags["flight_eta.train_and_release"], partitions=value)


@pytest.mark.parametrize("value", ["2013-01", "2013-01..2013-03", "2013-01..2013-03,2013-05", "..2013-06"])
def test_the_forms_examples_are_accepted(dags: dict[str, DAG], value: str) -> None:
    assert not refuses(dags["flight_eta.train_and_release"], partitions=value)


@pytest.mark.parametrize("ranks", [0, 9, -1, "2", "2; id", 1.5, None])
def test_ranks_out_of_their_limits_are_refused(dags: dict[str, DAG], ranks: object) -> None:
    assert refuses(dags["flight_eta.train_and_release"], ranks=ranks)
    assert not refuses(dags["flight_eta.train_and_release"], ranks=8)


@pytest.mark.parametrize(("name", "values"), [
    ("trials", [-1, 201, "20", 1.5, None]), ("minutes", [0, 1441, "30", None]), ("parallel", [0, 9, "2; id"]),
])  # fmt: skip
def test_a_budget_out_of_its_limits_is_refused(dags: dict[str, DAG], name: str, values: list[object]) -> None:
    assert all(refuses(dags["flight_eta.train_and_release"], **{name: value}) for value in values)


def test_a_form_s_budget_reaches_the_tuning_and_by_default_there_is_none(dags: dict[str, DAG]) -> None:
    dag, given = dags["flight_eta.train_and_release"], {"trials": 20, "minutes": 45, "parallel": 2}
    assert not refuses(dag, **given)
    names = ("trials", "minutes", "parallel")
    assert [rendered(dag, "tune_model", name, partition_key=None, **given) for name in names] == ["20", "45", "2"]
    assert [rendered(dag, "tune_model", name, partition_key="2013-06") for name in names] == ["0", "30", ""]


@pytest.mark.parametrize("value", ["", " ", "--run-dir=/tmp", "-x", "two\nlines", "x" * 201])
def test_an_override_that_is_no_line_of_text_is_refused(dags: dict[str, DAG], value: str) -> None:
    assert refuses(dags["flight_eta.train_and_release"], override_by=value)
    assert refuses(dags["flight_eta.train_and_release"], override_reason=value)


def test_an_override_reaches_the_gate_and_there_is_none_by_default(dags: dict[str, DAG]) -> None:
    dag, given = dags["flight_eta.train_and_release"], {"override_by": "Ada", "override_reason": "the champion's data was wrong; see #12"}
    assert not refuses(dag, **given)
    assert rendered(dag, "judge_candidate", "override-by", partition_key=None, **given) == "Ada"
    assert rendered(dag, "judge_candidate", "override-reason", partition_key=None, **given) == given["override_reason"]
    assert rendered(dag, "judge_candidate", "override-by", partition_key="2013-06") == ""


def test_a_form_can_be_sent_as_it_opens(dags: dict[str, DAG]) -> None:
    """The UI asks for a text that is empty by default, and doesn't send the form without it, unless the type allows null."""
    for dag in dags.values():
        for name in (name for name in dag.params if (dag.dag_id, name) not in ONLY_A_PERSON_KNOWS):
            value = dag.params.get_param(name).resolve()
            assert value != "", f"{dag.dag_id}: give param {name} the default None and the type ['null', 'string']"
            assert not refuses(dag, **{name: value})


@pytest.mark.parametrize(("dag_id", "name"), ONLY_A_PERSON_KNOWS)
def test_a_form_is_not_sent_without_what_only_a_person_knows(dags: dict[str, DAG], dag_id: str, name: str) -> None:
    with pytest.raises(ParamValidationError):
        dags[dag_id].params.get_param(name).resolve()
    assert refuses(dags[dag_id], **{name: None})


@pytest.mark.parametrize("version", [0, -1, "3", "3; id", 1.5, 2**31])
def test_a_version_that_is_no_number_of_the_registry_is_refused(dags: dict[str, DAG], version: object) -> None:
    assert refuses(dags["flight_eta.release"], version=version)
    assert not refuses(dags["flight_eta.release"], version=3)


@pytest.mark.parametrize("value", ["", " ", "--run-dir=/tmp", "-x", "two\nlines", "x" * 201])
def test_a_reason_that_is_no_line_of_text_is_refused(dags: dict[str, DAG], value: str) -> None:
    for dag_id in ("flight_eta.release", "flight_eta.roll_back"):
        assert refuses(dags[dag_id], why=value)
        assert refuses(dags[dag_id], by=value)


@pytest.mark.parametrize(("dag_id", "task_id"), [("flight_eta.release", "choose_version"), ("flight_eta.roll_back", "find_live_version")])
def test_what_a_person_asks_for_goes_on_record_with_who_typed_it_or_else_who_started_the_run(
    dags: dict[str, DAG], dag_id: str, task_id: str
) -> None:
    given = {"version": 3, "why": "late on Mondays"}
    assert rendered(dags[dag_id], task_id, "why", partition_key=None, **given) == "late on Mondays"
    assert rendered(dags[dag_id], task_id, "by", partition_key=None, **given) == "admin"
    assert rendered(dags[dag_id], task_id, "by", partition_key=None, **given, by="Ada") == "Ada"


def test_a_retrain_request_trains_on_all_up_to_its_month(dags: dict[str, DAG]) -> None:
    dag = dags["flight_eta.train_and_release"]
    assert rendered(dag, "snapshot_dataset", "partitions", partition_key="2013-06") == "..2013-06"
    assert rendered(dag, "snapshot_dataset", "partitions", partition_key=None, partitions="2013-01..2013-03") == "2013-01..2013-03"
    assert rendered(dag, "train_model", "ranks", partition_key=None) == "2"


def test_an_event_s_partition_wins_over_the_form_s(dags: dict[str, DAG]) -> None:
    dag = dags["flight_eta.score_batch"]
    assert rendered(dag, "score_batch", "partition", partition_key="2013-06", partition="2013-05") == "2013-06"
    assert rendered(dag, "score_batch", "partition", partition_key=None, partition="2013-05") == "2013-05"
    assert rendered(dag, "score_batch", "partition", partition_key=None) == ""


def test_an_ingest_without_partitions_leaves_the_choice_to_the_markers(dags: dict[str, DAG]) -> None:
    assert rendered(dags["flight_eta.ingest"], "find_new_files", "partitions", partition_key=None) == ""
