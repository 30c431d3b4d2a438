"""supervisord: its configuration, made from the table of services, and how to talk to it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Protocol, cast
from xmlrpc.client import Fault, ServerProxy

from roundtrip.cli.stack import environment
from roundtrip.cli.stack.layout import Stack, program, repository_path
from roundtrip.cli.stack.processes import HOME_MARK, Process, process_of
from roundtrip.cli.stack.services import SERVICES, Service
from roundtrip.contracts.errors import ServiceUnavailable

STARTED_WITH = (
    "requirements.txt",
    "airflow.cfg",
    "roundtrip/cli/stack/commands.py",
    "roundtrip/cli/stack/environment.py",
    "roundtrip/cli/stack/triton.py",
)

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 15.0
"""More than stopwaitsecs, after which supervisor kills what doesn't end."""


class SupervisorApi(Protocol):
    """The calls of supervisor's XML-RPC interface that are used here (supervisord.org/api.html)."""

    def getState(self) -> dict[str, str]: ...  # noqa: N802 - supervisor's names
    def getAllProcessInfo(self) -> list[dict[str, str | int]]: ...  # noqa: N802
    def startProcess(self, name: str, wait: bool) -> bool: ...  # noqa: N802
    def stopProcess(self, name: str, wait: bool) -> bool: ...  # noqa: N802
    def reloadConfig(self) -> list[list[list[str]]]: ...  # noqa: N802
    def addProcessGroup(self, name: str) -> bool: ...  # noqa: N802
    def removeProcessGroup(self, name: str) -> bool: ...  # noqa: N802
    def shutdown(self) -> bool: ...


def configuration(stack: Stack) -> str:
    """supervisord.conf; no secret is in it, `launch` puts those into each service's environment.

    A digest of what services are started with is: when that changes, the next `up` restarts them all.
    """
    content = b"".join(repository_path(*name.split("/")).read_bytes() for name in STARTED_WITH)
    digest = hashlib.sha256(content).hexdigest()
    return "\n".join([_SUPERVISORD.format(run=stack.run, logs=stack.logs), *(_program(stack, service, digest) for service in SERVICES)])


_SUPERVISORD = """\
; Written by `roundtrip up` from roundtrip/cli/stack/services.py.
[supervisord]
logfile={logs}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={run}/supervisord.pid
childlogdir={logs}
minfds=4096
[unix_http_server]
file={run}/supervisor.sock
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""


def _program(stack: Stack, service: Service, digest: str) -> str:
    return f"""\
[program:{service.name}]
command={program("python")} -m roundtrip.cli.stack.launch {service.name}
environment=ROUNDTRIP_STARTED_WITH="{digest}"
autostart=false
autorestart=true
startsecs=1
startretries=10
stopsignal={service.stop_signal}
stopwaitsecs=10
stopasgroup={"false" if service.stop_signal == "INT" else "true"}
killasgroup=true
redirect_stderr=true
stdout_logfile={stack.log_of(service.name)}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=1
"""


@contextlib.contextmanager
def connected(stack: Stack) -> Iterator[SupervisorApi]:
    """Supervisor's interface; raises ServiceUnavailable when supervisord doesn't run."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{stack.run / 'supervisor.sock'}")
    try:
        with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            yield cast(SupervisorApi, proxy.supervisor)
    except (OSError, EOFError) as error:
        raise ServiceUnavailable(f"supervisord doesn't answer ({error}): start the stack with `roundtrip up`.") from error


def running(stack: Stack) -> bool:
    """Whether supervisord answers."""
    with contextlib.suppress(ServiceUnavailable), connected(stack) as supervisor:
        return supervisor.getState()["statename"] == "RUNNING"
    return False


def daemon(stack: Stack) -> Process | None:
    """The supervisord of this stack, whether or not it answers."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return process_of(int((stack.run / "supervisord.pid").read_text()))
    return None


def start(stack: Stack) -> None:
    """Start supervisord in the background and wait until it answers."""
    variables = environment.inherited() | {HOME_MARK: str(stack.home), "ROUNDTRIP_HOME": str(stack.home)}
    log = (stack.logs / "supervisord.out").open("w")
    argv = [str(program("supervisord")), "--configuration", str(stack.run / "supervisord.conf")]
    finished = subprocess.run(argv, env=variables, cwd=stack.home, stdout=log, stderr=subprocess.STDOUT, check=False)
    deadline = time.monotonic() + START_DEADLINE_S
    while finished.returncode == 0 and time.monotonic() < deadline:
        if running(stack):
            return
        time.sleep(0.05)
    raise ServiceUnavailable(f"supervisord did not start in {START_DEADLINE_S:.0f} s: read {log.name}.")


def adopt_configuration(supervisor: SupervisorApi) -> None:
    """Let a running supervisord take services that were added, changed or removed since it started."""
    added, changed, removed = supervisor.reloadConfig()[0]
    for name in [*changed, *removed]:
        with contextlib.suppress(Fault):
            supervisor.stopProcess(name, True)
        supervisor.removeProcessGroup(name)
    for name in [*added, *changed]:
        supervisor.addProcessGroup(name)


def started(supervisor: SupervisorApi, name: str) -> bool:
    """Start a service; False when supervisor says that it is running already."""
    try:
        return supervisor.startProcess(name, False)
    except Fault:
        return False


def shut_down(stack: Stack, waves: Sequence[Sequence[str]]) -> None:
    """Stop the services, wave by wave, then supervisord itself; does nothing when it doesn't run.

    Raises nothing: what is still there afterwards is found by its mark.
    """
    process = daemon(stack)
    with contextlib.suppress(ServiceUnavailable, Fault), connected(stack) as supervisor:
        for wave in waves:
            _stop(supervisor, wave)
        supervisor.shutdown()
    deadline = time.monotonic() + STOP_DEADLINE_S
    while process is not None and process.alive() and time.monotonic() < deadline:
        time.sleep(0.1)


def _stop(supervisor: SupervisorApi, names: Sequence[str]) -> None:
    """Stop these at once and wait for them; supervisor kills one that takes longer than its stopwaitsecs."""
    for name in names:
        with contextlib.suppress(Fault):  # it isn't running
            supervisor.stopProcess(name, False)
    deadline = time.monotonic() + STOP_DEADLINE_S
    while time.monotonic() < deadline:
        if not any(info["name"] in names and info["statename"] in ("RUNNING", "STOPPING") for info in supervisor.getAllProcessInfo()):
            return
        time.sleep(0.1)


def hang_up(process: Process) -> None:
    """End a supervisord that no longer answers."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
