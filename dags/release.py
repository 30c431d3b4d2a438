"""Release a model version that a person chose, step by step; whatever fails leaves the live model as it is.

**Starts** by hand: fill in the version and why, or type `roundtrip release USE_CASE VERSION --why TEXT`. `roundtrip releases` shows what
served before.

**Does** check that the version is registered, that the gate let it on (or somebody overrode it), and that its files are those that were
published; then load it beside the live version, probe it with real rows of its own held-out span, let it stand shadow and canary, and
promote it: the same steps as in `train_and_release`.

**When a release step fails** the version is unloaded, the live one keeps serving, and the run ends as failed.

**Emits** the new champion.
"""

from datetime import timedelta

from airflow.sdk import chain

from operators.dag_defaults import ASKED, asked_params, asset, use_case_dag, version_param
from operators.job import Job
from operators.release_steps import release_steps
from use_cases import declared_use_cases

for use_case in declared_use_cases():
    with use_case_dag(
        use_case,
        "release",
        title="Release a version",
        doc=__doc__,
        schedule=None,
        deadline=timedelta(minutes=15),
        params=version_param() | asked_params(),
    ):
        chosen = Job(task_id="choose_version", task_display_name="Choose", arguments={"version": "{{ params.version }}"} | ASKED)
        chain(chosen, *release_steps(emits=asset(use_case, "champion")))
