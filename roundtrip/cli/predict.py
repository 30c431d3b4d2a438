"""`roundtrip predict`: what the live version says of an example, or of the rows of a file."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from roundtrip.cli import row_files
from roundtrip.cli.stack import environment
from roundtrip.cli.stack.layout import load_stack
from roundtrip.contracts.errors import BadName, RoundtripError

if TYPE_CHECKING:
    from roundtrip.serving.client import Answer, Client, Prediction, ServedContract

_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


def predict(
    use_case: Annotated[str, typer.Argument(help="The use case, e.g. flight_eta.")],
    file: Annotated[Path | None, typer.Argument(help="Rows: JSON lines, CSV or Parquet; - for standard input. None: an example.")] = None,
    form: Annotated[str, typer.Option("--format", help="jsonl, csv or parquet, where the file's ending doesn't say it.")] = "",
    without: Annotated[list[str] | None, typer.Option(help="A column of the file that is no input. May be given again.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="INPUT=VALUE in the example. May be given again.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of JSON lines.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs: of a file's rows JSON lines, as by default.")] = False,
    deadline_s: Annotated[float, typer.Option(min=0.1, help="Seconds that one request may take, its tries included.")] = 10.0,
) -> None:
    """Ask the live version: about an example row that shows what it takes, or about each row of a file."""
    from roundtrip.serving.client import Client

    if (file is None and (as_csv or without or form)) or (file is not None and change) or (as_csv and as_json):
        raise BadName("--csv, --without and --format go with a FILE, --set without one; --csv and --json exclude each other.")
    os.environ.update(environment.addresses(load_stack()))
    with Client(use_case, deadline_s=deadline_s) as client:
        if file is None:
            ask_about_example(client, change or [], as_json=as_json)
        else:
            write = csv_writer(client.contract()) if as_csv else print_json_lines
            ask_about_file(client, file, row_files.format_of(file, form), frozenset(without or ()), write)


def ask_about_example(client: Client, changes: Sequence[str], *, as_json: bool) -> None:
    """Print the contract's example, with what was asked to be changed, and its prediction."""
    contract = client.contract()
    row = contract.example() | dict(changed(change, contract) for change in changes)
    answer = client.predict([row])
    if as_json:
        told = {"use_case": answer.use_case, "request_id": answer.request_id, "row": row, **flat(answer.predictions[0])}
        print(json.dumps(told, indent=2))
        return
    console = Console()
    console.print(example_shown(row, contract))
    console.print(prediction_shown(answer, contract), highlight=False, soft_wrap=True)


def changed(change: str, contract: ServedContract) -> tuple[str, object]:
    """Input and value of `input=value`; an empty value is a missing one. Raises BadName; the contract's check finds all else."""
    name, equals, value = change.partition("=")
    if not equals:
        raise BadName(f"--set {change!r} is not of the form INPUT=VALUE.")
    is_number = any(entry.name == name and entry.is_number for entry in contract.inputs)
    return name, (row_files.number_or_text(value) if is_number else value) if value else None


def ask_about_file(client: Client, file: Path, form: str, without: frozenset[str], write: Callable[[Sequence[Prediction]], None]) -> None:
    """Print a prediction for each row, in their order. An error says how many rows were answered before it."""
    contract, done = client.contract(), 0
    with Progress(*_COLUMNS, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        shown = progress.add_task(str(file), total=row_files.number_of_rows(file, form))
        try:
            for part in row_files.rows_in(file, form, contract, without=without):
                write(client.predict(part).predictions)
                done += len(part)
                progress.update(shown, completed=done)
        except RoundtripError as error:
            raise type(error)(
                f"{error} (Rows are sent {contract.parameters.most_rows:,} at a time; {done:,} were answered before.)"
            ) from error


def print_json_lines(predictions: Sequence[Prediction]) -> None:
    """A JSON object a line."""
    for prediction in predictions:
        print(json.dumps(flat(prediction)))


def csv_writer(contract: ServedContract) -> Callable[[Sequence[Prediction]], None]:
    """A function that prints predictions as CSV, after the header."""
    outputs = [output.name for output in contract.outputs]
    writer = csv.DictWriter(sys.stdout, ["key", *outputs, "model_version", "served_by"], lineterminator="\n")
    writer.writeheader()
    return lambda predictions: writer.writerows(map(flat, predictions))


def flat(prediction: Prediction) -> dict[str, object]:
    """A prediction as one flat object; without a key where the row gave none."""
    named = {"key": prediction.key} if prediction.key is not None else {}
    return {**named, **prediction.values, "model_version": prediction.model_version, "served_by": prediction.served_by}


def example_shown(row: Mapping[str, object], contract: ServedContract) -> Table:
    """The row as a form: each input with its value, unit, limits and meaning."""
    shown = Table("input", "value", "unit", "limits", "meaning", box=None)
    for entry in contract.inputs:
        about, value = entry.parameters, row.get(entry.name)
        limits = "" if about.minimum is None or about.maximum is None else f"{about.minimum:g} to {about.maximum:g}"
        meaning = f"{about.meaning} (may be missing)" if about.optional else about.meaning
        shown.add_row(*map(escape, (entry.name, "" if value is None else f"{value}", about.unit, limits, meaning)))
    return shown


def prediction_shown(answer: Answer, contract: ServedContract) -> str:
    """The prediction in the outputs' units, who gave it, and how to go on."""
    given = answer.predictions[0]
    lines = [f"{output.name}: {given.values[output.name]:g} {output.parameters.unit}" for output in contract.outputs]
    lines.append(f"says version {given.model_version} of {answer.use_case}, by {given.served_by}; request {answer.request_id}")
    lines.append(f"Another row: --set {contract.inputs[0].name}=VALUE; rows of a file: roundtrip predict {answer.use_case} FILE")
    return escape("\n" + "\n".join(lines))
