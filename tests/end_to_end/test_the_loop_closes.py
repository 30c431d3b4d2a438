"""The whole loop on a small real slice, every service real: land, train, release, predict, watch, retrain, replace under traffic."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path

import httpx
import pytest
from mlflow.entities import Run
from rich.console import Console

from roundtrip.cli.demo.airflow_api import AirflowApi, DagRun
from roundtrip.cli.demo.command import calendar_of, replay_months
from roundtrip.cli.demo.driver import request_of
from roundtrip.cli.demo.summary import Summary
from roundtrip.cli.demo.traffic import Traffic
from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts.receipts import RunFolder
from roundtrip.contracts.settings import REPOSITORY, settings
from roundtrip.lakehouse.tables import read_table
from roundtrip.monitoring.decisions import read_decisions
from roundtrip.registry.mlflow_run import PICTURES, client
from tests.docs.test_commands import shell_lines
from tests.end_to_end.small_year import SmallYear
from use_cases.flight_eta.declaration import USE_CASE


def drive() -> Summary:
    """Run the demo's loop to its end; what it said is shown when it fails."""
    said = StringIO()
    replay = SmallYear()
    try:
        return replay_months(USE_CASE, replay, calendar_of(replay, 2), console=Console(file=said, width=200))
    finally:
        print(said.getvalue())


@pytest.fixture(scope="module")
def summary(whole_stack: Stack) -> Summary:
    assert whole_stack.home.is_dir()
    return drive()


def test_the_first_model_is_released_and_decays_when_the_world_turns(summary: Summary) -> None:
    first, (month,) = summary.releases[0], summary.months
    assert (first.partitions, first.champion_mae) == ("2013-01", None)
    assert first.skill > 0.05
    assert (month.partition, month.model_version, month.verdict, month.action) == ("2013-02", first.version, "decayed", "retrain")
    assert month.outcomes > 15_000
    (decision,) = read_decisions(USE_CASE.name)
    assert (decision.partition, decision.action, list(decision.reasons)) == ("2013-02", "retrain", month.reasons)


def test_the_retrain_replaces_the_model_with_one_that_is_better_on_the_same_rows(summary: Summary) -> None:
    first, second = summary.releases
    assert (second.partition, second.partitions) == ("2013-02", "2013-01..2013-02")
    assert second.generation > first.generation
    assert second.champion_mae is not None
    assert second.mae < 0.8 * second.champion_mae


def test_no_request_failed_while_the_model_was_replaced_and_both_versions_answered(summary: Summary) -> None:
    requests = summary.requests
    assert requests.failed == 0, requests.first_failure
    assert requests.sent == sum(requests.answers.values())
    assert set(requests.answers) == {release.version for release in summary.releases}
    assert min(requests.answers.values()) > 0


def test_the_gateway_answers_with_the_new_version(summary: Summary) -> None:
    addressed = settings()
    features = read_table(USE_CASE.name, "features", partitions=["2013-02"], columns=[entry.name for entry in USE_CASE.inputs])
    row = {name: value for name, value in features.slice(0, 1).to_pylist()[0].items() if value is not None}
    answer = httpx.post(
        f"{addressed.gateway_url}/v1/models/{USE_CASE.name}:predict",
        headers={"X-API-Key": addressed.gateway_key}, json={"instances": [row]}, timeout=10,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"] == summary.releases[1].version


def test_the_prediction_log_reached_its_table(summary: Summary) -> None:
    logged = read_table(USE_CASE.name, "prediction_log", partitions=["2013-02"]).to_pylist()
    assert len(logged) >= 400
    assert {row["model_version"] for row in logged} <= set(summary.requests.answers)


def test_what_was_asked_for_online_is_what_the_tables_hold(summary: Summary) -> None:
    (decision,) = read_decisions(USE_CASE.name)
    skew = RunFolder(decision.run_dir).receipt("measure_drift").figures["skew"]
    assert isinstance(skew, dict) and isinstance(skew["features"], dict)
    assert int(str(skew["rows"])) >= 400
    assert {name: differ for name, differ in skew["features"].items() if differ} == {}
    assert summary.months[0].partition == decision.partition


def test_driven_again_the_loop_does_nothing_twice(summary: Summary) -> None:
    again = drive()
    assert [run.run for run in again.runs] == [run.run for run in summary.runs]
    assert again.table_versions == summary.table_versions
    assert again.months == summary.months


def first_run() -> Run:
    """The MLflow run of the first training."""
    experiment = client().get_experiment_by_name(USE_CASE.name)
    assert experiment is not None
    return client().search_runs([experiment.experiment_id], order_by=["attributes.start_time"], max_results=1)[0]


def test_the_page_of_a_training_shows_the_yardstick_and_the_pictures(summary: Summary) -> None:
    run = first_run()
    assert run.data.metrics["candidate_mae"] == pytest.approx(summary.releases[0].mae)
    assert 0 < run.data.metrics["yardstick_mae"] < run.data.metrics["baseline_mae"]
    pictures = {entry.path.rpartition("/")[2] for entry in client().list_artifacts(run.info.run_id, PICTURES)}
    assert pictures == {"learning_curve.png", "residuals.png", "calibration.png", "error_by_slice.png"}


def test_a_training_done_again_gives_the_same_weights(summary: Summary) -> None:
    assert summary.releases
    command = [
        sys.executable,
        "-m",
        "roundtrip.cli",
        "reproduce",
        first_run().info.run_id,
        "--anyway",
        "--json",
    ]  # the checkout may be dirty
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    done = json.loads(finished.stdout)
    assert done["same"] and done["sha256"] == done["original_sha256"] and done["run"] != done["original"]


def test_the_readmes_request_is_answered(summary: Summary) -> None:
    (request,) = [line for line in shell_lines(REPOSITORY / "README.md") if line.startswith("curl")]
    answer = json.loads(subprocess.run(["bash", "-c", request], capture_output=True, text=True, check=True).stdout)
    assert answer["model_version"] == summary.releases[1].version
    (prediction,) = answer["predictions"]
    assert prediction["arrival_delay_minutes_p10"] < prediction["arrival_delay_minutes"] < prediction["arrival_delay_minutes_p90"]


def roundtrip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "roundtrip.cli", *words], capture_output=True, text=True, check=False)


def answered_by() -> str:
    """The version that answers the example of `roundtrip predict`."""
    asked = roundtrip("predict", USE_CASE.name, "--json")
    assert asked.returncode == 0, asked.stderr
    return str(json.loads(asked.stdout)["model_version"])


@pytest.fixture
def callers(tmp_path: Path) -> Iterator[Traffic]:
    """Requests about February's flights, all along: a candidate is judged by them."""
    addressed = settings()
    columns = [*USE_CASE.key, *(entry.name for entry in USE_CASE.inputs)]
    rows = read_table(USE_CASE.name, "features", partitions=["2013-02"], columns=columns).slice(0, 1000).to_pylist()
    record = tmp_path / "requests.jsonl"
    with Traffic(url=addressed.gateway_url, key=addressed.gateway_key, use_case_name=USE_CASE.name, record=record) as traffic:
        traffic.trickle([request_of(row, USE_CASE, "2013-02") for row in rows])
        yield traffic


def test_a_person_goes_back_to_the_version_before_and_releases_the_newer_one_again(summary: Summary, callers: Traffic) -> None:
    first, second = (release.version for release in summary.releases)
    back = roundtrip("rollback", USE_CASE.name, "--why", "to see the way back", "--json")
    assert back.returncode == 0, back.stderr
    assert (json.loads(back.stdout)["version"], json.loads(back.stdout)["rolled_back"], answered_by()) == (first, second, first)
    again = roundtrip("rollback", USE_CASE.name, "--why", "to see the way back")
    assert (again.returncode, "no version before it is kept" in again.stderr) == (2, True)

    ordered = roundtrip("release", USE_CASE.name, second, "--why", "to see the way forth", "--json")
    assert ordered.returncode == 0, ordered.stderr
    run, said = ended_run(json.loads(ordered.stdout)["run_id"])
    assert run.state == "success", said
    assert answered_by() == second
    told = json.loads(roundtrip("releases", USE_CASE.name, "--json").stdout)
    assert (told["live"]["version"], told["previous"]["version"], told["candidate"]) == (second, first, None)
    stages = ["rolled back", "staged", "shadow", *(f"canary {share} %" for share in USE_CASE.rollout.canary_shares), "live"]
    assert [(entry["stage"], entry["version"]) for entry in told["history"][-len(stages) :]] == [(stage, second) for stage in stages]
    assert "to see the way forth" in told["history"][-1]["why"]
    assert callers.counts.failed == 0, callers.counts.first_failure


def ended_run(run_id: str) -> tuple[DagRun, str]:
    """The run of the DAG `release`, once it has ended, and the last lines of its tasks that failed."""
    addressed = settings()
    with closing(AirflowApi.of_the_stack(addressed)) as api:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            run = next(run for run in api.runs([f"{USE_CASE.name}.release"]) if run.dag_run_id == run_id)
            if run.ended:
                failed = [task for task in api.tasks(run.dag_id, run_id) if task.state == "failed"]
                return run, "\n".join(line for task in failed for line in api.last_job_lines(task, lines=10))
            time.sleep(1)
    raise AssertionError(f"{run_id} has not ended within 600 s")
