"""The notebook, run from its first cell to its last against the stack's store and MLflow, on made-up flights."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from mlflow.entities import Run
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts import storage
from roundtrip.contracts.receipts import code_commit
from roundtrip.lakehouse.snapshot import take_snapshot
from roundtrip.lakehouse.tables import PARTITION_COLUMN, table_uri
from roundtrip.registry.mlflow_run import client
from roundtrip.registry.version_folder import version_uri
from roundtrip.training.experiment import NOTEBOOK_TAG, SOURCES_TAG, sources_sha256
from use_cases.flight_eta import declaration

USE_CASE = declaration.USE_CASE
NOTEBOOK = Path(declaration.__file__).with_name("explore.ipynb")
FLIGHTS = 24_000
PICTURES = 6


def made_up_flights() -> pa.Table:
    """A month of features and label: the arrival makes good 5 minutes, and follows what flights to the destination gained before."""
    generator = np.random.default_rng(1)
    columns: dict[str, object] = {entry.name: generator.uniform(0, 10, FLIGHTS) for entry in USE_CASE.numbers}
    columns |= {entry.name: generator.choice(["AA", "BB", "CC"], FLIGHTS) for entry in USE_CASE.categories}
    delay, gain = generator.gamma(0.5, 40, FLIGHTS) - 5, generator.normal(0, 12, FLIGHTS)
    moments = np.datetime64("2013-01-01T05:00", "us") + np.arange(FLIGHTS) * np.timedelta64(31 * 24 * 3600 // FLIGHTS, "s")
    return pa.table({
        **columns,
        "flight_id": [f"f{place}" for place in range(FLIGHTS)],
        PARTITION_COLUMN: ["2013-01"] * FLIGHTS,
        USE_CASE.prediction_time: pa.array(moments, type=pa.timestamp("us", tz="UTC")),
        "scheduled_departure_hour": generator.uniform(5, 23, FLIGHTS),
        "departure_delay_minutes": delay,
        "destination_gain_3h_minutes": pa.array(gain, mask=generator.random(FLIGHTS) < 0.1),
        USE_CASE.label: np.round(delay - 5 + gain + generator.normal(0, 6, FLIGHTS)),
    })  # fmt: skip


def land(flights: pa.Table, folder: Path) -> None:
    """Features and outcomes in the store, and a version that was trained on them."""
    outcomes = flights.select([*USE_CASE.key, PARTITION_COLUMN, USE_CASE.label])
    for table, rows in ((USE_CASE.features_table, flights.drop_columns([USE_CASE.label])), (USE_CASE.outcomes_table, outcomes)):
        write_deltalake(folder / table, rows, partition_by=[PARTITION_COLUMN])
        storage.upload_folder(folder / table, table_uri(USE_CASE.name, table))
    take_snapshot(USE_CASE, "2013-01").save(version_uri(USE_CASE.name, "1"))


@dataclass(frozen=True)
class Ran:
    """The notebook with its outputs, and the runs that it left in MLflow, by name."""

    notebook: NotebookNode
    runs: dict[str, Run]


@pytest.fixture(scope="module")
def ran(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """A storage root of its own. The runs are removed afterwards."""
    root = f"{stack.storage_root}/explore-{uuid.uuid4().hex[:8]}"
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROUNDTRIP_STORAGE_ROOT", root)
        land(made_up_flights(), tmp_path_factory.mktemp("tables"))
        before = set(runs_of_the_notebook())
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
        left = {run_id: run for run_id, run in runs_of_the_notebook().items() if run_id not in before}
        yield Ran(notebook, {run.info.run_name: run for run in left.values()})
        for run_id in left:
            client().delete_run(run_id)
        for entry in storage.list_objects(f"{root}/"):
            storage.delete(entry.uri)


def runs_of_the_notebook() -> dict[str, Run]:
    experiment = client().get_experiment_by_name(USE_CASE.name)
    found = client().search_runs([experiment.experiment_id], filter_string=f"tags.`{NOTEBOOK_TAG}` != ''") if experiment else []
    return {run.info.run_id: run for run in found}


def test_it_is_committed_without_outputs() -> None:
    ran = [cell.id for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.get("outputs") or cell.get("execution_count")]
    assert not ran, f"outputs of {', '.join(ran)}: jupyter nbconvert --clear-output --inplace {NOTEBOOK.name} before you commit"


def test_every_picture_is_drawn(ran: Ran) -> None:
    outputs = [output for cell in ran.notebook.cells for output in cell.get("outputs", ())]
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    opened = [Image.open(BytesIO(base64.b64decode(picture))) for picture in pictures]
    assert len({picture.tobytes() for picture in opened}) == PICTURES


def test_both_recipes_are_compared_on_the_held_out_rows(ran: Ran) -> None:
    (cell,) = (cell for cell in ran.notebook.cells if cell.id == "comparison")
    table = cell.outputs[0].data["text/plain"]
    assert all(name in table for name in ("baseline", *ran.runs, "excess"))
    for run in ran.runs.values():
        assert run.data.metrics["candidate_skill"] > 0.1
        assert run.data.metrics["held_out_rows"] > FLIGHTS / 3


def test_each_run_tells_recipe_notebook_and_commit_and_keeps_the_notebook(ran: Ran) -> None:
    tried = {run.data.params["hidden"] for run in ran.runs.values()}
    assert len(tried) == 2 and str(list(USE_CASE.recipe.hidden)) in tried
    assert {run.data.params["ranks"] for run in ran.runs.values()} == {"1"}
    for run in ran.runs.values():
        tags = run.data.tags
        assert (run.info.status, tags[NOTEBOOK_TAG]) == ("FINISHED", "use_cases/flight_eta/explore.ipynb")
        assert (tags[SOURCES_TAG], tags["mlflow.source.git.commit"]) == (sources_sha256(NOTEBOOK), code_commit())
        kept = {entry.path for entry in client().list_artifacts(run.info.run_id)}
        assert kept >= {"explore.ipynb", "origin.json", "pictures"}
