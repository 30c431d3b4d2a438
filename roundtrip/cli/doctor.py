"""What this machine lacks for Roundtrip, each with its remedy. Standard library only: it runs before anything is installed.

`python3 -m roundtrip.cli.doctor [--json]`: exit code 0 when nothing is missing, else 1.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older one must get this message and no SyntaxError
    sys.exit(f"This is Python {sys.version.split()[0]}; Roundtrip needs 3.11 or 3.12: install one (Debian: apt install python3.11-venv).")

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from roundtrip.cli.interpreter import chosen_interpreter
from roundtrip.cli.stack.layout import PORT_OFFSETS, Stack, load_stack
from roundtrip.cli.stack.ports import ports_in_use
from roundtrip.contracts.settings import REPOSITORY

GIB = 1024**3
JAVA_MINIMUM = 17
DISK_GIB = 15
DISK_GIB_ONCE_SET_UP = 5
MEMORY_GIB = 8
SHARED_MEMORY_MIB = 64
GLIBC_MINIMUM = (2, 35)
SOCKET_PATH_BYTES = 107
"""Linux's limit for the path of a unix socket (unix(7), sun_path)."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    value: str
    limit: str
    remedy: str


def examine(stack: Stack) -> Iterator[Finding]:
    """Each check's finding, the cheap ones first."""
    yield check_platform()
    yield check_python()
    yield check_libpython()
    yield check_java()
    yield check_disk(stack.home)
    yield check_memory()
    yield check_shared_memory()
    yield check_socket_path(stack.home)
    yield check_ports(stack)


def check_platform() -> Finding:
    name, version = platform.libc_ver()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    ok = sys.platform == "linux" and platform.machine() == "x86_64" and name == "glibc" and numbers >= GLIBC_MINIMUM
    value = f"{platform.system()} {platform.machine()}, {name or 'no glibc'} {version}".strip()
    limit = f"Linux x86_64, glibc ≥ {'.'.join(map(str, GLIBC_MINIMUM))}"
    return Finding("platform", ok, value, limit, "Use Debian 12, Ubuntu 22.04 or newer: Triton's binary is built for that.")


def check_python() -> Finding:
    interpreter = chosen_interpreter()
    value = f"{interpreter.version} ({interpreter.path})" if interpreter else "none that runs"
    if interpreter is not None and not interpreter.makes_environments:
        value += ", without ensurepip"
    ok = interpreter is not None and interpreter.supported and interpreter.makes_environments
    return Finding("python", ok, value, "3.11 or 3.12, with venv", "Debian and Ubuntu: apt install python3.11-venv (or python3.12-venv).")


def check_libpython() -> Finding:
    interpreter = chosen_interpreter()
    library = interpreter.library if interpreter else None
    remedy = "Debian and Ubuntu: apt install libpython3.11 (or the one of your Python); pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared."
    return Finding("libpython", library is not None, library or "not found", "the shared library, for Triton's Python backend", remedy)


def check_java(command: str = "java") -> Finding:
    version = java_version(command)
    remedy = "Debian and Ubuntu: apt install openjdk-17-jre-headless, and have its java on PATH."
    ok = version is not None and version >= JAVA_MINIMUM
    return Finding("java", ok, "not found" if version is None else str(version), f"≥ {JAVA_MINIMUM}", remedy)


def java_version(command: str) -> int | None:
    """Major version of the Java that `command` runs; None when it doesn't run."""
    try:
        answer = subprocess.run([command, "-version"], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found else None


def check_disk(home: Path) -> Finding:
    free = shutil.disk_usage(home).free / GIB
    limit = DISK_GIB_ONCE_SET_UP if (REPOSITORY / ".roundtrip" / "setup.json").exists() else DISK_GIB
    return Finding("disk", free >= limit, f"{free:.1f} GiB free", f"≥ {limit} GiB at {home}", "Free some, or clone to a larger disk.")


def check_memory() -> Finding:
    total = memory_bytes() / GIB
    remedy = "Use a larger machine or container, or start fewer services: roundtrip up s3 spark mlflow."
    return Finding("memory", total >= MEMORY_GIB, f"{total:.1f} GiB", f"≥ {MEMORY_GIB} GiB", remedy)


def memory_bytes() -> int:
    """Memory of this machine, or of its container when that has less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return min(total, int(text)) if text.isdecimal() else total


def check_shared_memory(folder: Path = Path("/dev/shm")) -> Finding:  # noqa: S108 - the only name it has
    there = folder.is_dir() and os.access(folder, os.W_OK)
    free = shutil.disk_usage(folder).free / 1024**2 if there else 0.0
    value = f"{free:.0f} MiB free" if there else "not writable"
    return Finding("shared memory", free >= SHARED_MEMORY_MIB, value, f"≥ {SHARED_MEMORY_MIB} MiB in {folder}", "Docker: --shm-size=256m.")


def check_socket_path(home: Path) -> Finding:
    longest = home / "tmp" / "pymp-12345678" / "listener-12345678"  # of Python's multiprocessing
    length = len(os.fsencode(longest))
    return Finding(
        "path", length <= SOCKET_PATH_BYTES, f"{length} bytes", f"≤ {SOCKET_PATH_BYTES} for {longest}", "Clone to a shorter path."
    )


def check_ports(stack: Stack) -> Finding:
    taken = ports_in_use(stack, list(PORT_OFFSETS))
    value = "; ".join(taken) or "free, or held by this stack"
    return Finding("ports", not taken, value, "free", "Stop what holds them, or move the stack's, e.g. ROUNDTRIP_PORT_BASE=18000.")


def main(*, as_json: bool = False) -> int:
    """Examine, print what was found, and return the exit code."""
    findings = list(examine(load_stack()))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2))
    else:
        print("\n".join(_line(finding) for finding in findings))
    return 0 if all(finding.ok for finding in findings) else 1


def _line(finding: Finding) -> str:
    if finding.ok:
        return f"  ok      {finding.name:14s} {finding.value}"
    return f"  MISSING {finding.name:14s} {finding.value}\n{'':25s}limit: {finding.limit}. {finding.remedy}"


if __name__ == "__main__":
    sys.exit(main(as_json="--json" in sys.argv[1:]))
