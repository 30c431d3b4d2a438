"""`python -m roundtrip.cli.stack.launch SERVICE`: what supervisor runs. Becomes the service, with its secrets in the environment.

So supervisor's configuration holds no secret, and a restart after a crash first removes what the dead process left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from roundtrip.cli.stack import environment
from roundtrip.cli.stack.commands import Command, postgres_owner
from roundtrip.cli.stack.layout import Stack, load_stack
from roundtrip.cli.stack.processes import current_process, group_of, hide_argument, marked, pids_listening, stop_all
from roundtrip.cli.stack.records import record_process, recorded
from roundtrip.cli.stack.services import service_named

_LOOK_EVERY_S = 0.1


def main() -> None:
    stack = load_stack()
    service = service_named(sys.argv[1])
    _stop_leftovers(stack, service.name)
    if service.clean_up is not None:
        service.clean_up(stack)
    record_process(stack, service.name, current_process())
    command = service.command(stack)
    variables = environment.for_service(stack, service.name) | command.environment
    os.chdir(stack.home)
    if command.hidden is not None:
        sys.exit(_run_hiding(command.hidden, command, variables, port=stack.ports[service.ports[0]]))
    if command.user is not None:
        _become_owner()
    os.execve(command.argv[0], command.argv, variables)


def _stop_leftovers(stack: Stack, service: str) -> None:
    """Kill what is left of the process group of this service's last run (workers, Triton's stubs)."""
    previous = recorded(stack, service)
    if previous is not None and previous.pid != os.getpid():
        stop_all([process for process in marked(stack.home) if group_of(process.pid) == previous.pid], patience_s=2)


def _become_owner() -> None:
    user, group = postgres_owner()
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def _run_hiding(secret: str, command: Command, variables: dict[str, str], *, port: int) -> int:
    """Run the program as a child and overwrite its secret argument once it listens, so has read it: then `ps` shows `x` instead."""
    child = subprocess.Popen(command.argv, env=variables)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # supervisor signals the whole group: this process only waits for its child
    while child.poll() is None and child.pid not in pids_listening(port):
        time.sleep(_LOOK_EVERY_S)
    if child.poll() is None:
        hide_argument(child.pid, secret)
    return child.wait()


if __name__ == "__main__":
    main()
