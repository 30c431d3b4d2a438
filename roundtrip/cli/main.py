"""The command line of Roundtrip. Exit codes: 0 ok, 1 it failed, 2 wrong use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError
from rich.console import Console

from roundtrip.cli import check as checking
from roundtrip.cli import decisions, keys, lineage, predict, quarantine, releases, reproduce
from roundtrip.cli import doctor as examining
from roundtrip.cli.check_contracts import is_checkout
from roundtrip.cli.demo.command import run_demo
from roundtrip.cli.stack import environment, lifecycle, log_files, overview
from roundtrip.cli.stack.layout import Stack, load_stack, repository_path
from roundtrip.cli.stack.services import service_named, with_what_they_need
from roundtrip.cli.stack.watching import watched
from roundtrip.contracts.errors import BadRequest, RoundtripError, SetUpIncomplete, UnknownJob

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(keys.app, name="keys")
app.add_typer(quarantine.app, name="quarantine")
app.command()(decisions.decisions)
app.command()(decisions.replay_policy)
app.command()(decisions.decay)
app.command()(lineage.lineage)
app.command()(lineage.restore)
app.command()(reproduce.reproduce)
app.command()(predict.predict)
app.command()(releases.releases)
app.command()(releases.release)
app.command()(releases.rollback)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Services = Annotated[list[str] | None, typer.Argument(help="Only these, and what they need.")]


@app.command()
def doctor(as_json: Json = False) -> None:
    """What this machine lacks, each with its remedy."""
    raise typer.Exit(examining.main(as_json=as_json))


@app.command()
def up(services: Services = None, as_json: Json = False) -> None:
    """Start the embedded stack and wait until each part does real work."""
    stack = load_stack()
    started = _bring_up(stack, services or [], Console(stderr=as_json))
    if as_json:
        _print_json({name: asdict(part) for name, part in started.items()})
    else:
        Console().print(f"Ready. Addresses and credentials: source {stack.home / 'env'}", highlight=False, soft_wrap=True)


@app.command()
def demo(
    months: Annotated[int, typer.Option(help="The last month to replay: 6 is June, 12 the whole year.")] = 6,
    use_case: Annotated[str, typer.Option(help="The use case to replay.")] = "flight_eta",
    as_json: Json = False,
) -> None:
    """Run the whole loop on real data, going on from what is there."""
    stack = load_stack()
    console = Console(stderr=as_json)
    _bring_up(stack, [], console)
    os.environ.update(environment.addresses(stack))
    summary = run_demo(use_case, months=months, console=console)
    if as_json:
        _print_json(asdict(summary))


@app.command()
def status(as_json: Json = False) -> None:
    """Each service: its state, process, address and memory."""
    rows = overview.look(load_stack())
    if as_json:
        _print_json([asdict(row) for row in rows])
    else:
        Console().print(overview.table(rows))
    raise typer.Exit(0 if all(row.ready for row in rows) else 1)


@app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="One of the services; none: the end of every log.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each log to begin with.")] = 20,
) -> None:
    """What the services said."""
    stack = load_stack()
    names = [service_named(service).name] if service else None
    log_files.show(stack, names, lines=lines)
    if follow:
        log_files.follow(stack, names)


@app.command()
def down() -> None:
    """Stop everything that was started, running jobs too, also after a crash."""
    killed = lifecycle.take_down(load_stack())
    Console().print("Stopped." if not killed else f"Stopped; {len(killed)} processes had to be killed.", highlight=False)


@app.command()
def check(
    against: Annotated[str | None, typer.Option(help="The git ref whose contracts must still hold; HEAD in a git checkout.")] = None,
) -> None:
    """Validate every use case's declaration, its tables' folders and contracts, and the DAG files."""
    told = Console(stderr=True)
    if against is None and is_checkout(repository_path()):
        against = "HEAD"
    elif against is None:
        told.print("No git checkout: contracts are not compared with what they were.", highlight=False, soft_wrap=True)
    faults = checking.faults(load_stack(), against=against)
    for fault in faults:
        told.print(fault, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if faults else 0)


@app.command("run-job", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def run_job(context: typer.Context, job: Annotated[str, typer.Argument(help="A job, e.g. train_model.")]) -> None:
    """Run a job by hand, as Airflow would: what follows its name goes to the job (--help lists it). Exit codes: docs/architecture.md."""
    known = sorted(path.stem for path in repository_path("jobs").glob("[a-z]*.py"))
    if job not in known:
        raise UnknownJob(f"no job {job!r}: use one of {', '.join(known)}.")
    variables = environment.inherited() | environment.addresses(load_stack())
    finished = subprocess.run([sys.executable, "-m", f"jobs.{job}", *context.args], env=variables, cwd=repository_path(), check=False)
    raise typer.Exit(finished.returncode)


def run() -> None:
    """Entry point: a RoundtripError becomes its message and exit code 1, or 2 when the request was wrong."""
    try:
        app(prog_name="roundtrip")
    except RoundtripError as error:
        _say(str(error))
        sys.exit(2 if isinstance(error, BadRequest) else 1)
    except BotoCoreError as error:
        _say(f"the object store gives no answer ({error}): see `roundtrip status`, then run this again; it goes on from what is there.")
        sys.exit(1)


def _say(message: str) -> None:
    Console(stderr=True).print(message, markup=False, highlight=False, soft_wrap=True)


def _bring_up(stack: Stack, services: list[str], console: Console) -> dict[str, lifecycle.Started]:
    if not repository_path(".roundtrip", "jars").is_dir():
        raise SetUpIncomplete("Spark's jars are not in .roundtrip/jars: run `make setup` first.")
    parts = with_what_they_need(services)
    with watched(parts, console) as watch:
        return lifecycle.bring_up(stack, parts, watch)


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))
