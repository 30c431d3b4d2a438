"""Show what happens: a live page on a terminal, plain lines anywhere else. Colours follow NO_COLOR, as rich does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from roundtrip.cli.demo.airflow_api import DagRun, TaskInstance
from roundtrip.cli.demo.traffic import Counts
from roundtrip.cli.demo.watch import Watch, utc_now

RUNS_SHOWN = 8
"""Runs on the live page, so that it fits on 40 lines with the tasks of those under way."""
STYLES = {
    "success": "green", "failed": "bold red", "upstream_failed": "red", "running": "cyan", "up_for_retry": "yellow",
    "skipped": "dim", "queued": "blue", "scheduled": "blue",
}  # fmt: skip
SETTLED = ("success", "failed", "skipped", "upstream_failed", "up_for_retry")


class Screen:
    """`with Screen(console) as screen: screen.show(...)` at each look."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._step = ""
        self._said: dict[tuple[str, str, str, int], str] = {}

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(f"{utc_now():%H:%M:%S}  {line}", highlight=False, soft_wrap=True)

    def show(self, step: str, watch: Watch, counts: Counts) -> None:
        """The step that the demo is at, runs and tasks, and requests so far."""
        if step != self._step:
            self._step = step
            self.say(step)
        if self._live:
            self._live.update(live_page(step, watch, counts), refresh=True)
        else:
            self._say_changes(watch)

    def _say_changes(self, watch: Watch) -> None:
        for tasks in watch.tasks.values():
            for task in tasks:
                self._say_task(task, watch.runs[task.dag_id, task.dag_run_id])

    def _say_task(self, task: TaskInstance, run: DagRun) -> None:
        key = (task.dag_id, task.dag_run_id, task.name, task.try_number)
        if task.state and task.state in SETTLED and self._said.get(key) != task.state:
            self._said[key] = task.state
            self.say(f"{task.dag_id} {run.partition_key or ''} {task.name}: {task.state}, {task.seconds(utc_now()):.1f} s")

    def forget_the_past(self, watch: Watch) -> None:
        """What is settled already when the demo starts is no news."""
        for tasks in watch.tasks.values():
            for task in tasks:
                self._said[task.dag_id, task.dag_run_id, task.name, task.try_number] = task.state or ""


def live_page(step: str, watch: Watch, counts: Counts) -> Group:
    now = utc_now()
    table = Table(box=None, pad_edge=False, expand=False)
    for title in ("run", "partition", "state"):
        table.add_column(title)
    table.add_column("seconds", justify="right")
    for run in _shown_runs(watch):
        _add_run(table, run, watch.tasks.get((run.dag_id, run.dag_run_id), []), now)
    return Group(Text(step, style="bold"), table, Text(traffic_line(counts), style="dim"))


def traffic_line(counts: Counts) -> str:
    answers = ", ".join(f"version {version}: {number:,}" for version, number in sorted(counts.answers.items())) or "none yet"
    return f"requests {counts.sent:,}, failed {counts.failed:,}; answers by {answers}"


def _shown_runs(watch: Watch) -> Sequence[DagRun]:
    recent = sorted(watch.runs.values(), key=lambda run: run.start_date or run.run_after)
    return recent[-RUNS_SHOWN:]


def _add_run(table: Table, run: DagRun, tasks: Sequence[TaskInstance], now: datetime) -> None:
    table.add_row(run.dag_id, run.partition_key or "", _styled(run.state), f"{run.seconds(now):.0f}")
    if run.ended:
        return
    for task in tasks:
        if task.state:
            table.add_row(Text(f"  {task.name}", style="dim"), "", _styled(task.state), f"{task.seconds(now):.1f}")


def _styled(state: str) -> Text:
    return Text(state, style=STYLES.get(state, ""))
