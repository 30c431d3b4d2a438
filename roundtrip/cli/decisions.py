"""`roundtrip decisions`, `replay-policy` and `decay`: what the governor decided, what another policy would have, and how models age."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Column, Table

from roundtrip.cli.demo.replay import load_use_case
from roundtrip.cli.stack import environment
from roundtrip.cli.stack.layout import load_stack
from roundtrip.contracts.use_cases import RetrainPolicy, UseCase

if TYPE_CHECKING:
    from roundtrip.monitoring.decay_matrix import DecayMatrix
    from roundtrip.monitoring.decisions import DecisionRecord
    from roundtrip.monitoring.replay_policy import Replayed

UseCaseName = Annotated[str, typer.Argument(help="The use case, e.g. flight_eta.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def decisions(use_case: UseCaseName, as_json: Json = False) -> None:
    """What the governor decided on each partition, what it measured, and why."""
    from roundtrip.monitoring.decisions import read_decisions

    records = read_decisions(_prepared(use_case).name)
    if as_json:
        print(json.dumps([asdict(record) for record in records], indent=2))
    elif records:
        Console().print(decisions_shown(records))
    else:
        Console().print(f"Nothing was decided for {use_case} yet: watch_drift decides when a partition has its outcomes.", highlight=False)


def replay_policy(
    use_case: UseCaseName,
    refit_gain: Annotated[float | None, typer.Option(help="Share of the MAE that a refit must save.")] = None,
    persistence: Annotated[int | None, typer.Option(help="Partitions in a row that must show it.")] = None,
    minimum_outcomes: Annotated[int | None, typer.Option(help="Outcomes below which the answer is: wait.")] = None,
    cooldown: Annotated[int | None, typer.Option(help="Partitions between two retrains.")] = None,
    budget: Annotated[int | None, typer.Option(help="Retrains in twelve partitions.")] = None,
    as_json: Json = False,
) -> None:
    """What another policy would have decided on the partitions that were measured. Changes nothing; what is not given stays as declared."""
    from roundtrip.monitoring.decisions import read_decisions
    from roundtrip.monitoring.replay_policy import replay

    declared = _prepared(use_case)
    given = {
        "refit_gain": refit_gain, "persistence_partitions": persistence, "minimum_outcomes": minimum_outcomes,
        "cooldown_partitions": cooldown, "budget_per_year": budget,
    }  # fmt: skip
    policy: RetrainPolicy = replace(declared.retrain, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    replayed = replay(read_decisions(declared.name), policy)
    if as_json:
        told = [{"partition": each.record.partition, "was": each.record.action, "would_be": each.decision.action,
                 "reasons": each.decision.reasons} for each in replayed]  # fmt: skip
        print(json.dumps({"policy": asdict(policy), "decisions": told}, indent=2))
    else:
        Console().print(replay_shown(replayed))


def decay(
    use_case: UseCaseName,
    to: Annotated[Path | None, typer.Option(help="A folder for decay.png and decay.json; else they go to the store.")] = None,
    as_json: Json = False,
) -> None:
    """Train on each month, test on each later one: how fast what was learned goes out of date."""
    from roundtrip.contracts import storage
    from roundtrip.contracts.settings import settings
    from roundtrip.lakehouse.snapshot import labelled_by_month
    from roundtrip.monitoring.decay_matrix import decay_matrix, picture

    declared, told = _prepared(use_case), Console(stderr=True)
    folder = f"file://{to.resolve()}" if to else storage.join(settings().storage_root, "decay", declared.name)
    with told.status("Reading the labelled months") as status:
        rows = dict(labelled_by_month(declared))
        matrix = decay_matrix(declared, rows, tell=lambda month: status.update(f"Training on {month}, of {min(rows)} to {max(rows)}"))
    content = json.dumps(matrix.figures(), indent=2)
    storage.write_bytes(storage.join(folder, "decay.json"), content.encode())
    storage.write_bytes(storage.join(folder, "decay.png"), picture(matrix))
    if as_json:
        print(content)
        return
    Console().print(decay_shown(matrix))
    told.print(f"Kept: {folder}/decay.png, decay.json", highlight=False, soft_wrap=True)


def decisions_shown(records: list[DecisionRecord]) -> Group:
    """A row a partition, and below, why: a terminal of 80 columns has no room for both in a row."""
    shown = Table(
        "partition", "version", "MAE", "baseline", Column("a refit gains", no_wrap=True), "verdict", "cause", "decision", box=None
    )
    whys = []
    for record in records:
        numbers = (_number(record.mae), _number(record.baseline_mae), _gain(record))
        shown.add_row(*map(escape, (record.partition, record.model_version, *numbers, record.verdict, record.cause or "–", record.action)))
        whys.append((record.partition, " ".join(record.reasons) + (f" (Revises: {record.revises}.)" if record.revises else "")))
    return Group(shown, _why(whys))


def replay_shown(replayed: list[Replayed]) -> Group:
    """A row a partition, the two decisions side by side, `≠` where they differ; below, why."""
    shown = Table("partition", "version", Column("a refit gains", no_wrap=True), "was", "would be", "", box=None)
    for each in replayed:
        record = each.record
        row = (record.partition, record.model_version, _gain(record), record.action, each.decision.action, "≠" if each.differs else "")
        shown.add_row(*map(escape, row))
    return Group(shown, _why([(each.record.partition, " ".join(each.decision.reasons)) for each in replayed]))


def _why(reasons: Iterable[tuple[str, str]]) -> Table:
    """A row a partition."""
    shown = Table("partition", "why", box=None)
    for row in reasons:
        shown.add_row(*map(escape, row))
    return shown


def decay_shown(matrix: DecayMatrix) -> Table:
    """MAE by month trained on (rows) and tested on (columns)."""
    shown = Table("trained on", *(month[2:] for month in matrix.months), title=f"MAE ({matrix.unit}) on", title_justify="left", box=None)
    for month, values in zip(matrix.months, matrix.grid("mae").tolist(), strict=True):
        shown.add_row(month, *("" if value != value else f"{value:.2f}" for value in values))
    return shown


def _gain(record: DecisionRecord) -> str:
    if record.refit_gain is None or record.refit_gain_low is None:
        return "–"
    return f"{record.refit_gain:.1%} (≥ {record.refit_gain_low:.1%})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _prepared(use_case: str) -> UseCase:
    """The use case, if it is declared; the running stack's addresses and credentials are in the environment then."""
    os.environ.update(environment.addresses(load_stack()))
    return load_use_case(use_case)
