"""All that decides on the weights of a training, as its MLflow run keeps it: what `roundtrip reproduce` trains again from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import cast

from roundtrip.contracts.receipts import Figure, code_commit
from roundtrip.contracts.use_cases import Recipe, UseCase
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.training.chosen_recipe import recipe_of
from roundtrip.training.machine import Environment
from roundtrip.training.training_record import declaration

ORIGIN_FILE = "origin.json"
"""Artefact of the run. It stands for itself: run folders are pruned."""
_NO_COMMIT = "unknown"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Snapshot, declaration, ranks, code and environment of a training."""

    use_case: str
    snapshot: Snapshot
    declaration: dict[str, Figure]
    """Inputs, outputs, label, baseline and recipe, as JSON has them."""
    ranks: int
    code_commit: str
    environment: Environment

    @classmethod
    def here(cls, use_case: UseCase, snapshot: Snapshot, *, ranks: int) -> Origin:
        """Of a training that this checkout starts now, on this machine."""
        return cls(
            use_case=use_case.name,
            snapshot=snapshot,
            declaration=json.loads(json.dumps(declaration(use_case))),
            ranks=ranks,
            code_commit=code_commit(),
            environment=Environment.here(),
        )

    @classmethod
    def from_json(cls, content: bytes | str) -> Origin:
        values = json.loads(content)
        snapshot = Snapshot.from_json(json.dumps(values.pop("snapshot")))
        return cls(snapshot=snapshot, environment=Environment(**values.pop("environment")), **values)

    @property
    def recipe(self) -> Recipe:
        """What was trained, declared or tuned. Raises BadRequest for a recipe of another version of Roundtrip."""
        return recipe_of(cast("dict[str, Figure]", self.declaration["recipe"]))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    def parameters(self) -> dict[str, object]:
        """For the run's page."""
        pinned = self.snapshot
        return {
            **cast("dict[str, object]", self.declaration["recipe"]),
            "ranks": self.ranks,
            "partitions": f"{pinned.partitions[0]}..{pinned.partitions[-1]}",
            "held_out_from": pinned.held_out_from,
            "snapshot_rows": pinned.rows,
            "snapshot_sha256": pinned.content_sha256,
            "features_version": pinned.features_version,
            "outcomes_version": pinned.outcomes_version,
            "code_commit": self.code_commit,
            **asdict(self.environment),
        }


def differences(then: Origin, now: Origin) -> list[str]:
    """What is not as it was, each with both values; also what can't be told, such as changes that no commit holds."""
    before, after = _flat("", _compared(then)), _flat("", _compared(now))
    names = [*before, *(name for name in after if name not in before)]
    found = [f"{name}: was {before.get(name)}, is {after.get(name)}" for name in names if before.get(name) != after.get(name)]
    for when, commit in (("was", then.code_commit), ("is", now.code_commit)):
        if commit.endswith("+") or commit == _NO_COMMIT:
            found.append(f"code_commit {when} {commit}: no commit holds this code")
    return found


def _compared(origin: Origin) -> dict[str, Figure]:
    return {**origin.declaration, "ranks": origin.ranks, "code_commit": origin.code_commit, **asdict(origin.environment)}


def _flat(name: str, value: Figure) -> dict[str, Figure]:
    """Dotted name → value of every leaf; entries of a list that have a `name` go by it."""
    if isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
        value = {str(entry["name"]): entry for entry in value if isinstance(entry, dict)}
    if not isinstance(value, dict):
        return {name: value}
    return {leaf: held for key, entry in value.items() for leaf, held in _flat(f"{name}.{key}".lstrip("."), entry).items()}
