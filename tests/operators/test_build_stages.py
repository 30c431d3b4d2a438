"""In the DAG `ingests` the second of three partitions fails in the second of three stages."""

from tests.operators.conftest import Ran


def states(ran: Ran, dag_id: str, task_id: str) -> list[tuple[str | None, str]]:
    tasks = ran[dag_id]["tasks"]
    return [(tasks[name]["label"], tasks[name]["state"]) for name in sorted(tasks) if name.startswith(f"{task_id}[")]


def test_a_partition_that_fails_stops_there_and_the_others_go_on(ran: Ran) -> None:
    months = ["2013-01", "2013-02", "2013-03", "2013-04", "2013-05"]
    assert states(ran, "ingests", "build_raw") == [(month, "success") for month in months]
    assert [entry for entry in states(ran, "ingests", "build_clean") if entry[1] != "success"] == [("2013-02", "failed")]
    assert [month for month, _ in states(ran, "ingests", "build_features")] == [month for month in months if month != "2013-02"]


def test_a_dependent_month_of_which_nothing_changed_is_skipped(ran: Ran) -> None:
    assert states(ran, "ingests", "build_clean")[-1] == ("2013-05", "success")
    assert states(ran, "ingests", "build_features")[-2:] == [("2013-04", "success"), ("2013-05", "skipped")]


def test_what_landed_is_announced_even_unchanged_and_a_dependent_only_when_it_changed(ran: Ran) -> None:
    assert ran["ingests"]["events"] == [["tiny/features", "2013-01"], ["tiny/features", "2013-03"], ["tiny/features", "2013-04"]]


def test_the_run_ends_as_failed_although_its_last_stage_went_well(ran: Ran) -> None:
    assert ran["ingests"]["state"] == "failed"


def test_nothing_new_is_no_failure(ran: Ran) -> None:
    assert ran["ingests_nothing"]["state"] == "success"
    assert states(ran, "ingests_nothing", "build_features") == [(None, "skipped")]
    assert ran["ingests_nothing"]["events"] == []
