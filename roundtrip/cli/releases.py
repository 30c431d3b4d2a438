"""`roundtrip releases`, `roundtrip release` and `roundtrip rollback`: what served and serves, and changing that by hand."""

from __future__ import annotations

import getpass
import json
import os
import time
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from roundtrip.cli.demo.airflow_api import AirflowApi
from roundtrip.cli.demo.replay import load_use_case
from roundtrip.cli.stack import environment
from roundtrip.cli.stack.layout import load_stack
from roundtrip.contracts.errors import BadName, ProbeFailed, ServiceUnavailable
from roundtrip.contracts.names import MOST_CHARACTERS
from roundtrip.contracts.settings import settings

if TYPE_CHECKING:
    from roundtrip.serving.release import HistoryEntry, Release

UseCaseName = Annotated[str, typer.Argument(help="The use case, e.g. flight_eta.")]
Why = Annotated[str, typer.Option(help="The reason, kept in the release's history.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

AIRFLOW_WITHIN_S = 10.0
"""Seconds that Airflow has to answer somebody who waits at a terminal."""
GATEWAY_WITHIN_S = 10.0
"""Seconds that the gateway has to follow a roll back: it looks twice a second, and the version before is loaded."""
DIGEST_SHOWN = 12
"""Characters of a digest in a table; JSON has all of them."""


def releases(use_case: UseCaseName, as_json: Json = False) -> None:
    """Which version serves, and each change so far: stage, version, when, who, why."""
    from roundtrip.serving.release import history, read_release

    name = _prepared(use_case)
    release, entries = read_release(name), history(name)
    if as_json:
        told = {"use_case": name, "generation": release.generation, **release.to_document(), "history": [asdict(e) for e in entries]}
        print(json.dumps(told, indent=2, default=str))
        return
    console = Console()
    console.print(
        document_shown(release) if release.generation else f"No version of {name} was ever staged.", highlight=False, soft_wrap=True
    )
    if entries:
        console.print(history_shown(entries))


def release(
    use_case: UseCaseName,
    version: Annotated[int, typer.Argument(min=1, help="The version, a number in the registry.")],
    why: Why,
    as_json: Json = False,
) -> None:
    """Start the DAG that releases this version, step by step; says where to watch it."""
    from roundtrip.serving.version_to_release import check_releasable

    name, why = _prepared(use_case), _one_line(why)
    check_releasable(name, str(version))
    dag_id, run_id = f"{name}.release", f"release_{version}_{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    addressed = settings()
    try:
        with closing(AirflowApi.of_the_stack(addressed, patience_s=AIRFLOW_WITHIN_S)) as airflow:
            airflow.trigger(dag_id, run_id, {"version": version, "why": why, "by": getpass.getuser()})
    except ServiceUnavailable as error:
        raise ServiceUnavailable(
            f"{error} Nothing was released: a release takes Airflow, `roundtrip up` starts it. To go back to the version before, "
            f"`roundtrip rollback {name} --why TEXT` needs none."
        ) from error
    watch = f"{addressed.airflow_url}/dags/{dag_id}/runs/{run_id}"
    if as_json:
        print(json.dumps({"use_case": name, "version": version, "dag_id": dag_id, "run_id": run_id, "watch": watch}, indent=2))
    else:
        Console().print(f"Started: {watch}", highlight=False, soft_wrap=True)


def rollback(use_case: UseCaseName, why: Why, as_json: Json = False) -> None:
    """Go back to the version that served before, at once and without Airflow. Exit code 2: there is none to go back to."""
    from roundtrip.serving.going_back import go_back, settle, version_to_leave
    from roundtrip.serving.release_steps import wait_for_gateway

    console = Console(stderr=as_json)
    name, why, started = _prepared(use_case), _one_line(why), time.monotonic()
    left = version_to_leave(name).version
    now = go_back(name, left, why=why)
    live = now.live.version if now.live else None
    try:
        wait_for_gateway(now, timeout_s=GATEWAY_WITHIN_S)
        seconds = round(time.monotonic() - started, 2)
        console.print(
            f"The gateway answers with version {live} of {name} again, after {seconds} s; version {left} is out.",
            highlight=False,
            soft_wrap=True,
        )
        settle(now)
    except (ServiceUnavailable, ProbeFailed) as error:
        raise type(error)(
            f"{error} The release document says version {live} since generation {now.generation}, and a gateway that is back follows it. "
            f"What is left (the alias in MLflow, Triton's memory) does `roundtrip release {name} {live} --why TEXT`."
        ) from error
    if as_json:
        told = {"use_case": name, "version": live, "rolled_back": left, "generation": now.generation, "seconds": seconds}
        print(json.dumps(told, indent=2))


def document_shown(release: Release) -> str:
    """Its versions, a line each; the candidate with the stage that it is at."""
    lines = [f"{release.use_case}, generation {release.generation}"]
    for name, entry in (("live", release.live), ("previous", release.previous), ("candidate", release.candidate)):
        told = "none" if entry is None else f"version {entry.version} (digest {entry.digest[:DIGEST_SHOWN]}…)"
        lines.append(f"{name:>10}: {told}")
    if release.candidate is not None:
        lines[-1] += f", {release.stage}" + (f" with {release.share} % of the requests" if release.share else "")
    return escape("\n".join(lines))


def history_shown(entries: list[HistoryEntry]) -> Group:
    """The history, the newest change first, and below, who and why: a terminal of 80 columns has no room for all in a row."""
    changes = Table("generation", "stage", "version", "when (UTC)", "digest", box=None)
    reasons = Table("generation", "who", "why", box=None)
    for entry in reversed(entries):
        generation, at = str(entry.generation), f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        changes.add_row(*map(escape, (generation, entry.stage, entry.version, at, entry.digest[:DIGEST_SHOWN])))
        reasons.add_row(*map(escape, (generation, entry.who, entry.why)))
    return Group(changes, reasons)


def _prepared(use_case: str) -> str:
    """The name of the use case, if it is declared; the running stack's addresses and credentials are in the environment then."""
    os.environ.update(environment.addresses(load_stack()))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # of 7 by default, which take minutes when MLflow is away
    return load_use_case(use_case).name


def _one_line(why: str) -> str:
    """The reason as one line; raises BadName for one that is empty, too long, or would read as an option."""
    text = " ".join(why.split())
    if not text or text.startswith("-") or not text.isprintable() or len(text) > MOST_CHARACTERS:
        raise BadName(
            f"--why {why!r} is no reason: give 1 to {MOST_CHARACTERS} printable characters in one line that don't begin with a dash."
        )
    return text
