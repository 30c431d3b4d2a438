"""Which Python runs Roundtrip: the first on PATH that really runs, is 3.11 or 3.12, and has what set-up and Triton need."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

CANDIDATES = ("python3.11", "python3.12", "python3")

_REPORT = """
import ctypes, importlib.util, json, sys, sysconfig
name = sysconfig.get_config_var("INSTSONAME") or ""
name = name if ".so" in name else "libpython%d.%d.so.1.0" % sys.version_info[:2]
def loads(path):
    try:
        return bool(ctypes.CDLL(path))
    except OSError:
        return False
folder = sysconfig.get_config_var("LIBDIR")
print(json.dumps({
    "path": sys._base_executable,
    "version": "%d.%d.%d" % sys.version_info[:3],
    "makes_environments": importlib.util.find_spec("ensurepip") is not None,
    "library": next((path for path in (folder + "/" + name, name) if loads(path)), None),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that runs."""

    path: str
    """Of the interpreter itself, also when the one on PATH is that of a virtual environment (which set-up may be about to replace)."""
    version: str
    makes_environments: bool
    """Whether `python -m venv` works (Debian splits it off as python3-venv)."""
    library: str | None
    """libpython as the loader finds it, which Triton's Python backend is linked to; None when there is none."""

    @property
    def supported(self) -> bool:
        return self.version.rpartition(".")[0] in ("3.11", "3.12")

    @property
    def complete(self) -> bool:
        return self.supported and self.makes_environments and self.library is not None


def chosen_interpreter(settled: str | None = None) -> Interpreter | None:
    """The settled one if it still runs; else the first complete candidate, the first supported one, the first that runs, or None.

    `settled` is the path of the one that was chosen before: another PATH in another shell is no reason to install everything anew.
    """
    if settled is not None and (interpreter := _ask(settled)) is not None and interpreter.complete:
        return interpreter
    found = [interpreter for name in CANDIDATES if (interpreter := _ask(name)) is not None]
    for wanted in (lambda each: each.complete, lambda each: each.supported, lambda each: True):
        for interpreter in found:
            if wanted(interpreter):
                return interpreter
    return None


def _ask(name: str) -> Interpreter | None:
    """What the command says of itself; None when it doesn't run (pyenv leaves shims for versions that aren't selected)."""
    try:
        answer = subprocess.run([name, "-I", "-c", _REPORT], capture_output=True, text=True, check=True, timeout=30)
        return Interpreter(**json.loads(answer.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
