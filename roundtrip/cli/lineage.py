"""`roundtrip lineage` and `roundtrip restore`: what a model or a prediction came from, and its training set made anew."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from roundtrip.cli.demo.replay import load_use_case
from roundtrip.cli.stack import environment
from roundtrip.cli.stack.layout import load_stack
from roundtrip.contracts.errors import BadName

if TYPE_CHECKING:
    from roundtrip.lakehouse.lineage import Lineage, MadePartition, Prediction

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
UseCaseName = Annotated[str, typer.Option(help="The use case.")]
_COLOURS = {"the same": "green", "changed": "yellow", "gone": "red"}


def lineage(
    model_version: Annotated[str | None, typer.Argument(help="A model version, e.g. 3.")] = None,
    prediction: Annotated[str, typer.Option(help="Instead of a version: a prediction_id, as the gateway answered.")] = "",
    use_case: UseCaseName = "flight_eta",
    as_json: Json = False,
) -> None:
    """What a model version, or a prediction, came from: snapshot, partitions, landed files. Exit code 1: not all is known or there."""
    from roundtrip.lakehouse.lineage import prediction_of, snapshot_of, trace

    if bool(model_version) == bool(prediction):
        raise BadName("give a model version or --prediction ID, one of the two.")
    os.environ.update(environment.addresses(load_stack()))
    asked = prediction_of(use_case, prediction) if prediction else None
    version = asked.model_version if asked else str(model_version)
    found = trace(load_use_case(use_case), snapshot_of(use_case, version))
    if as_json:
        told = asdict(asked) if asked else None
        print(json.dumps({"use_case": use_case, "model_version": version, "prediction": told, **asdict(found)}, indent=2))
    else:
        Console().print(shown(use_case, version, asked, found), highlight=False)
    raise typer.Exit(0 if all(partition.holds for partition in found.partitions.values()) else 1)


def restore(
    model_version: Annotated[str, typer.Argument(help="A model version, e.g. 3.")],
    to: Annotated[Path, typer.Option(help="The folder to write train.parquet and held_out.parquet into.")],
    use_case: UseCaseName = "flight_eta",
) -> None:
    """Write the rows that a model version was trained and judged on, and prove them by their content hash."""
    from roundtrip.lakehouse.lineage import snapshot_of
    from roundtrip.lakehouse.restore import restore as write

    os.environ.update(environment.addresses(load_stack()))
    snapshot = snapshot_of(use_case, model_version)
    for path in write(load_use_case(use_case), snapshot, to):
        print(path)
    print(f"{snapshot.rows:,} rows, SHA-256 {snapshot.content_sha256}: those of the snapshot")


def shown(use_case: str, version: str, prediction: Prediction | None, found: Lineage) -> Tree:
    """A partition is shown with all below it once, and by name where it is used again."""
    snapshot = found.snapshot
    root = Tree(f"[bold]{escape(use_case)} model version {escape(version)}[/]", guide_style="dim")
    if prediction:
        root.add(escape(f"gave prediction {prediction.prediction_id} at {prediction.predicted_at}, for {prediction.key}"))
    content = f"content {snapshot.content_sha256}" if snapshot.content_sha256 else "content hash not recorded"
    held_out = f"held out from {snapshot.held_out_from}"
    pinned = root.add(f"snapshot: {snapshot.rows:,} rows, {held_out}, {content}, code {snapshot.code_commit or 'not recorded'}")
    seen: set[str] = set()
    for name in found.pinned:
        _add(pinned, found.partitions[name], found, seen)
    return root


def _add(tree: Tree, partition: MadePartition, found: Lineage, seen: set[str]) -> None:
    again = partition.name in seen
    seen.add(partition.name)
    if again:
        tree.add(f"{partition.name} [dim](above)[/]")
        return
    rows = "" if partition.rows is None else f", {partition.rows:,} rows"
    by = f" [dim]{escape(partition.written_by.split(' ')[0])}[/]" if partition.written_by else ""
    node = tree.add(f"[bold]{partition.name}[/]{rows}{by}" + ("" if partition.known else " [yellow]what it was made from is unknown[/]"))
    for name in partition.made_from:
        _add(node, found.partitions[name], found, seen)
    for file in partition.files:
        node.add(f"{escape(file.uri)} [dim]SHA-256 {file.sha256}[/] [{_COLOURS[file.now]}]{file.now}[/]")
