"""In the DAG `ingests` the second of three partitions fails in the second of three stages."""

from tests.operators.conftest import Ran


def states(ran: Ran, dag_id: str, task_id: str) -> list[tuple[str | None, str]]:
    tasks = ran[dag_id]["tasks"]
    return [(tasks[name]["label"], tasks[name]["state"]) for name in sorted(tasks) if name.startswith(f"{task_id}[")]


def test_a_partition_that_fails_stops_there_and_the_others_go_on(ran: Ran) -> None:
    assert states(ran, "ingests", "build_raw") == [("2013-01", "success"), ("2013-02", "success"), ("2013-03", "success")]
    assert states(ran, "ingests", "build_clean") == [("2013-01", "success"), ("2013-02", "failed"), ("2013-03", "success")]
    assert states(ran, "ingests", "build_features") == [("2013-01", "success"), ("2013-03", "success")]


def test_a_partition_that_failed_is_not_announced(ran: Ran) -> None:
    assert ran["ingests"]["events"] == [["tiny/features", "2013-01"], ["tiny/features", "2013-03"]]


def test_the_run_ends_as_failed_although_its_last_stage_went_well(ran: Ran) -> None:
    assert ran["ingests"]["state"] == "failed"


def test_nothing_new_is_no_failure(ran: Ran) -> None:
    assert ran["ingests_nothing"]["state"] == "success"
    assert states(ran, "ingests_nothing", "build_features") == [(None, "skipped")]
    assert ran["ingests_nothing"]["events"] == []
