"""`roundtrip demo` once the stack is up: replay a use case's months through Airflow, and show what came of it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rich.console import Console

from roundtrip.cli.demo.airflow_api import AirflowApi
from roundtrip.cli.demo.driver import Driver, Outside
from roundtrip.cli.demo.outcome import addresses, print_outcome, summarize, write_outcome
from roundtrip.cli.demo.plan import Calendar
from roundtrip.cli.demo.replay import Replay, load_replay, load_use_case
from roundtrip.cli.demo.screen import Screen
from roundtrip.cli.demo.summary import Summary
from roundtrip.cli.demo.traffic import Traffic
from roundtrip.cli.demo.watch import Watch
from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.settings import Settings, settings
from roundtrip.contracts.use_cases import UseCase


def run_demo(use_case_name: str, *, months: int, console: Console) -> Summary:
    """Replay until the year's month number `months` (6 = until June), going on from what is there; gives what happened.

    The stack must be up and its addresses in this process' environment. Writes `.roundtrip/demo/{summary.json,chart.png,report.html}`.
    Raises RunFailed when a run fails, BadRequest for months that can't be replayed or when another demo is under way.
    """
    replay = load_replay(use_case_name)
    addressed = settings()
    summary = replay_months(load_use_case(use_case_name), replay, calendar_of(replay, months), console=console)
    write_outcome(summary, demo_folder(addressed))
    print_outcome(console, summary, addressed)
    return summary


def replay_months(use_case: UseCase, replay: Replay, calendar: Calendar, *, console: Console) -> Summary:
    """Drive the loop through the calendar, with requests all along; gives what happened."""
    addressed = settings()
    folder = demo_folder(addressed)
    traffic = Traffic(url=addressed.gateway_url, key=addressed.gateway_key, use_case_name=use_case.name, record=folder / "requests.jsonl")
    with the_only_demo(folder), closing(AirflowApi.of_the_stack(addressed)) as api, Screen(console) as screen, traffic:
        watch = Watch(api, use_case.name)
        outside = Outside(use_case=use_case, replay=replay, api=api, watch=watch, traffic=traffic, screen=screen)
        Driver(outside, calendar).run()
    return summarize(outside, calendar, addresses(addressed, folder))


def demo_folder(addressed: Settings) -> Path:
    return addressed.home_path / "demo"


def calendar_of(replay: Replay, months: int) -> Calendar:
    """The calendar of the first `months` months that the use case has; raises BadRequest when none is left to replay."""
    known = [*replay.TRAINING_MONTHS, *replay.REPLAYED_MONTHS]
    least = len(replay.TRAINING_MONTHS) + 1
    if not least <= months <= len(known):
        raise BadRequest(
            f"MONTHS={months} is not from {least} to {len(known)}: {len(replay.TRAINING_MONTHS)} months train the first model."
        )
    return Calendar(training=replay.TRAINING_MONTHS, replayed=replay.REPLAYED_MONTHS[: months - len(replay.TRAINING_MONTHS)])


@contextmanager
def the_only_demo(folder: Path) -> Iterator[None]:
    """Hold the demo's lock; raises BadRequest when another process has it. The kernel lets go of it however this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadRequest(f"another demo is under way (it holds {folder / 'lock'}): wait for it, or stop it first.") from None
        yield
