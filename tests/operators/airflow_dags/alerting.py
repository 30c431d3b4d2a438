"""Tasks that end as the alerts wait for: a decision is skipped with a decayed model behind it, a roll back is done, a task fails."""

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from operators.alerts import FailureAlert, RollbackAlert, VerdictAlert
from roundtrip.contracts.receipts import Figure, Receipt, RunFolder


def leave(job: str, figures: dict[str, Figure], dag_run: object) -> None:
    """A receipt in the run's folder."""
    folder = RunFolder.of(dag_run.dag_id, dag_run.run_id)  # type: ignore[attr-defined]
    folder.write_receipt(Receipt(job, "flight_eta", figures=figures))


with DAG("flight_eta.alerting", schedule=None, params={"partition": "2013-06", "why": None}):

    @task(on_skipped_callback=VerdictAlert())
    def decide(dag_run: object = None) -> None:
        performance: Figure = {"mae": 12.94, "baseline_mae": 14.12, "skill": 0.084, "skill_at_release": 0.21}
        leave("measure_drift", {"verdict": "decayed", "model_version": "1", "outcomes": 27000, "performance": performance}, dag_run)
        leave("decide_retrain", {"action": "hold", "reasons": ["Budget spent: 4 of 4 retrains."]}, dag_run)
        raise AirflowSkipException("RetrainHeld")

    @task(on_success_callback=RollbackAlert())
    def roll_back(dag_run: object = None) -> None:
        leave("roll_back_release", {"version": "4", "live_version": "3"}, dag_run)

    @task(on_failure_callback=FailureAlert())
    def fail() -> None:
        raise AirflowFailException("ChecksFailed: 2 of 41 checks failed, nothing was published.")

    decide()
    roll_back()
    fail()
