"""Experiments by people: in a notebook a changed recipe is trained, measured on the held-out rows, and kept in MLflow.

A person looks at a snapshot that a release was trained on, so what they find can be compared with the release.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from roundtrip.contracts import storage
from roundtrip.contracts.errors import UnknownModelVersion
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.contracts.use_cases import Recipe, UseCase
from roundtrip.evaluation.evaluate import Answers, ask, evaluate
from roundtrip.evaluation.evaluate_candidate import drawn
from roundtrip.evaluation.quality import Quality
from roundtrip.evaluation.skill import Excess, excess_with_interval
from roundtrip.lakehouse.dependents import snapshots_in_store
from roundtrip.lakehouse.snapshot import Snapshot, SnapshotRows
from roundtrip.registry.mlflow_run import MlflowRun, client, log_metrics, log_pictures
from roundtrip.serving.parity import network_answer
from roundtrip.training.checkpoints import Checkpoints
from roundtrip.training.engine import single_rank
from roundtrip.training.ensemble import WEIGHTS_FILE, Ensemble
from roundtrip.training.loop import train
from roundtrip.training.origin import Origin
from roundtrip.training.rows import training_data

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOK_TAG, SOURCES_TAG = "roundtrip.notebook", "roundtrip.notebook_sha256"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A recipe that was tried."""

    name: str
    run_id: str
    """Of MLflow."""
    run_url: str
    ensemble: Ensemble
    answers: Answers
    """About the held-out rows."""
    quality: Quality

    @property
    def parameters(self) -> int:
        """How many weights the recipe trains."""
        return sum(parameter.numel() for parameter in self.ensemble.parameters())


def released_snapshot(use_case: UseCase, version: str | None = None) -> Snapshot:
    """What a registered version was trained on, the newest one's by default. Raises UnknownModelVersion."""
    released = snapshots_in_store(use_case.name)
    wanted = version or max(released, key=int, default="")
    if wanted not in released:
        raise UnknownModelVersion(
            f"no version {wanted!r} of {use_case.name} is in the store (there: {', '.join(released) or 'none'}): release one by the DAG "
            f"{use_case.name}.train_and_release, or pin the tables as they are now by take_snapshot(use_case, '..2013-12')."
        )
    return released[wanted]


def sources_sha256(notebook: Path) -> str:
    """SHA-256 of the notebook's cells as they are saved, whatever they put out."""
    cells = json.loads(notebook.read_text())["cells"]
    sources = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def try_recipe(use_case: UseCase, recipe: Recipe, snapshot: Snapshot, rows: SnapshotRows, *, name: str, notebook: Path) -> Experiment:
    """Train `recipe` in this process on the snapshot's rows, and keep it as a run of the use case's MLflow experiment.

    The run has what a training's has, the figures and pictures of the held-out rows, and the notebook: its file, the commit, and the
    SHA-256 of its cells, so that one which no commit holds can be told. Raises what `train` does.
    """
    changed = use_case.with_recipe(recipe)
    data, origin = training_data(changed, rows.train, rows.held_out), Origin.here(changed, snapshot, ranks=1)
    path, digest = str(notebook.resolve().relative_to(REPOSITORY)), sources_sha256(notebook)
    tags = {NOTEBOOK_TAG: path, SOURCES_TAG: digest, "mlflow.source.name": path, "mlflow.source.type": "NOTEBOOK"}
    begun_by = f"Tried in the notebook `{path}` (SHA-256 of its cells: {digest}), which is among the artefacts."
    begun = MlflowRun.begin(changed, origin, name=name, begun_by=begun_by, tags=tags)
    with begun as run, tempfile.TemporaryDirectory() as scratch:
        client().log_artifact(run.run_id, str(notebook))
        with single_rank(recipe):
            ensemble, _ = train(data, recipe, checkpoints=Checkpoints(Path(scratch) / "checkpoints"), journal=run)
        ensemble.save(Path(scratch))
        run.finish_training(storage.sha256((Path(scratch) / WEIGHTS_FILE).as_uri()), unit=use_case.outputs[0].unit)
        answers = ask(
            changed,
            rows.held_out,
            candidate=partial(network_answer, ensemble, data.contract),
            gain=float(ensemble.gain),
            champion=None,
            yardstick=None,
        )
        evaluation = evaluate(changed, rows.held_out, answers)
        log_metrics(run.run_id, evaluation.metrics())
        log_pictures(run.run_id, drawn(changed, rows.held_out, answers))
    return Experiment(
        name=name, run_id=run.run_id, run_url=run.url, ensemble=ensemble, answers=answers, quality=evaluation.candidate
    )  # fmt: skip


def compared(declared: Experiment, others: Sequence[Experiment]) -> pd.DataFrame:
    """A row for the baseline, the declared recipe and each of the others: figures of the same held-out rows, MAE in the label's unit.

    `excess` is the MAE above that of the declared recipe, as a fraction of it, with its 95 % interval (paired, by days).
    """
    import pandas as pd

    held_out = declared.answers.rows
    figures = {"baseline": {"MAE": f"{held_out.errors(held_out.baseline).mean():.3f}"}}
    for experiment in (declared, *others):
        found = experiment.quality
        figures[experiment.name] = {
            "MAE": f"{found.mae:.3f}",
            "skill": f"{found.skill:.3f} ({found.skill_low:.3f} to {found.skill_high:.3f})",
            "coverage": f"{found.coverage:.3f}",
            "weights": f"{experiment.parameters:,}",
        }
    for experiment in others:
        excess = excess_over(declared, experiment)
        figures[experiment.name]["excess"] = f"{excess.value:+.2%} ({excess.low:+.2%} to {excess.high:+.2%})"
    return pd.DataFrame.from_dict(figures, orient="index").fillna("")


def excess_over(declared: Experiment, other: Experiment) -> Excess:
    """The MAE of `other` above that of the declared recipe on the same held-out rows."""
    rows = declared.answers.rows
    return excess_with_interval(rows.errors(other.answers.candidate[:, 0]), rows.errors(declared.answers.candidate[:, 0]), rows.days)
