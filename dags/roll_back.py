"""Go back to the version that served before the live one.

**Starts** by hand: say why. `roundtrip rollback USE_CASE --why TEXT` does the same at once, without Airflow.

**Does** find the live version, and take it out: the one before it, which was kept loaded, serves again within a second or two, MLflow's
alias `champion` follows, and Triton unloads the other. When no version before is kept, the run fails and nothing changes: start `release`
with the version that should serve.

**Emits** the champion.
"""

from datetime import timedelta

from operators.alerts import RollbackAlert
from operators.dag_defaults import ASKED, asked_params, asset, use_case_dag
from operators.job import Job
from use_cases import declared_use_cases

for use_case in declared_use_cases():
    with use_case_dag(
        use_case,
        "roll_back",
        title="Back to the version before",
        doc=__doc__,
        schedule=None,
        deadline=timedelta(minutes=5),
        params=asked_params(),
    ):
        found = Job(task_id="find_live_version", task_display_name="Find the live version", arguments=ASKED)
        found >> Job(
            task_id="roll_back_release",
            task_display_name="Roll back",
            outlets=[asset(use_case, "champion")],
            on_success_callback=RollbackAlert(),
        )
