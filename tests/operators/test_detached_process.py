"""Real processes throughout: what is tested is what the kernel does with them."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from operators.detached_process import KEPT_DAYS, Attempt, attempt_named, submit

SLEEP = [sys.executable, "-c", "import time; print('started', flush=True); time.sleep(60)"]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def until(condition: Callable[[], bool], *, within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def ended(attempt: Attempt) -> list[str]:
    """Its log lines, once it is over."""
    return list(attempt.log_lines())


@pytest.mark.parametrize("code", [0, 10, 20, 3])
def test_the_exit_code_outlives_the_job(tmp_path: Path, code: int) -> None:
    attempt = submit(tmp_path, "job", python(f"raise SystemExit({code})"), environment=os.environ)
    ended(attempt)
    assert (attempt.state(), attempt.exit_code()) == ("ended", code)


def test_log_lines_come_while_the_job_runs_and_none_is_lost(tmp_path: Path) -> None:
    attempt = submit(
        tmp_path, "job", python("""
            import sys, time
            print("first", flush=True)
            time.sleep(0.5)
            print("to stderr", file=sys.stderr)
            sys.stdout.write("no newline at the end")
        """), environment=os.environ,
    )  # fmt: skip
    lines = attempt.log_lines()
    assert next(lines) == "first"
    assert attempt.state() == "running"
    assert sorted(lines) == ["no newline at the end", "to stderr"]


def test_submitting_a_running_key_again_returns_the_running_attempt(tmp_path: Path) -> None:
    first = submit(tmp_path, "job", SLEEP, environment=os.environ)
    assert submit(tmp_path, "job", SLEEP, environment=os.environ) == first
    assert attempt_named(tmp_path, first.name) == first
    first.stop()


def test_many_submitting_one_key_at_once_start_one_job(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as many:
        attempts = set(many.map(lambda _: submit(tmp_path, "job", SLEEP, environment=os.environ), range(8)))
    assert len(attempts) == 1
    attempts.pop().stop()


def test_a_retry_starts_a_new_attempt_and_keeps_the_old_log(tmp_path: Path) -> None:
    failed = submit(tmp_path, "job", python("print('why'); raise SystemExit(1)"), environment=os.environ)
    ended(failed)
    again = submit(tmp_path, "job", python("print('fine')"), environment=os.environ)
    assert ended(again) == ["fine"]
    assert (failed.folder / "log").read_text() == "why\n"
    assert [failed.name, again.name] == ["job/1", "job/2"]


def test_kill_9_of_the_launcher_leaves_the_job_running_for_who_comes_next(tmp_path: Path) -> None:
    launcher = subprocess.Popen(
        python(f"""
            import os, time
            from pathlib import Path
            from operators.detached_process import submit
            print(submit(Path({str(tmp_path)!r}), "job", {SLEEP!r}, environment=os.environ).name, flush=True)
            time.sleep(60)
        """), stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()},  # noqa: PTH109
    )  # fmt: skip
    assert launcher.stdout is not None
    attempt = attempt_named(tmp_path, launcher.stdout.readline().strip())
    launcher.send_signal(signal.SIGKILL)
    launcher.communicate()
    assert next(attempt.log_lines()) == "started"
    assert submit(tmp_path, "job", SLEEP, environment=os.environ) == attempt
    attempt.stop()
    assert attempt.exit_code() == -signal.SIGTERM


def test_a_launcher_that_dies_before_noting_the_pid_runs_nothing(tmp_path: Path) -> None:
    """Its end of the pipe closes without the release."""
    attempt = Attempt(tmp_path / "job" / "1")
    attempt.folder.mkdir(parents=True)
    (attempt.folder / "command.json").write_text("never read")
    supervisor = subprocess.run(
        [sys.executable, "-I", "operators/run_detached.py", str(attempt.folder)], stdin=subprocess.DEVNULL, check=True
    )
    assert supervisor.returncode == 0
    assert attempt.state() == "lost"


def test_a_job_whose_supervisor_was_killed_is_lost_and_never_runs_beside_its_successor(tmp_path: Path) -> None:
    lost = submit(tmp_path, "job", python("import os, time; print(os.getpid(), flush=True); time.sleep(60)"), environment=os.environ)
    pid = int(next(lost.log_lines()))
    os.kill(int((lost.folder / "pid").read_text().split()[0]), signal.SIGKILL)
    until(lambda: lost.state() == "lost")
    successor = submit(tmp_path, "job", SLEEP, environment=os.environ)
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert successor.state() == "running"
    successor.stop()


def test_a_job_that_ignores_the_request_to_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    attempt = submit(
        tmp_path, "job", python("import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"),
        environment=os.environ,
    )  # fmt: skip
    assert next(attempt.log_lines()) == "deaf"
    attempt.stop(grace_s=0.2)
    until(lambda: attempt.state() == "lost")


def test_a_later_process_with_the_same_pid_is_not_taken_for_the_job(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path / "job" / "1")
    attempt.folder.mkdir(parents=True)
    (attempt.folder / "pid").write_text(f"{os.getpid()} 1")
    assert attempt.state() == "lost"
    attempt.stop(grace_s=0)  # must not signal this test's own group


def test_the_environment_is_not_written_down(tmp_path: Path) -> None:
    attempt = submit(tmp_path, "job", python("import os; print(len(os.environ['SECRET']))"), environment={"SECRET": "s3cr3t"})
    assert ended(attempt) == ["6"]
    assert not [path for path in attempt.folder.iterdir() if "s3cr3t" in path.read_text()]


def test_nothing_in_an_argument_reaches_a_shell(tmp_path: Path) -> None:
    attempt = submit(tmp_path, "job", [*python("import sys; print(sys.argv[1])"), "$(id); rm -rf /"], environment=os.environ)
    assert ended(attempt) == ["$(id); rm -rf /"]


def test_what_ended_long_ago_is_removed_by_whoever_starts_the_next_job_and_what_runs_stays(tmp_path: Path) -> None:
    running = submit(tmp_path, "running", SLEEP, environment=os.environ)
    for key in ("old", "recent"):
        ended(submit(tmp_path, key, python("print('done')"), environment=os.environ))
    long_ago = time.time() - (KEPT_DAYS + 1) * 86_400
    for key in ("old", "running"):
        os.utime(tmp_path / key, (long_ago, long_ago))
    ended(submit(tmp_path, "next", python("print('done')"), environment=os.environ))
    assert {path.name for path in tmp_path.iterdir()} == {"running", "recent", "next"}
    assert attempt_named(tmp_path, "old/1").state() == "lost"
    running.stop()


def test_an_old_key_that_is_started_again_by_many_at_once_starts_one_job(tmp_path: Path) -> None:
    ended(submit(tmp_path, "job", python("print('done')"), environment=os.environ))
    long_ago = time.time() - (KEPT_DAYS + 1) * 86_400
    os.utime(tmp_path / "job", (long_ago, long_ago))
    with ThreadPoolExecutor(8) as many:
        attempts = set(many.map(lambda _: submit(tmp_path, "job", SLEEP, environment=os.environ), range(8)))
    assert len(attempts) == 1
    attempts.pop().stop()
