"""`roundtrip check --against REF`: tables whose schema.yaml breaks what it promised at a git ref."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from roundtrip.contracts.errors import BadDefinition, UnknownRef
from roundtrip.lakehouse.breaking_changes import breaking_changes
from roundtrip.lakehouse.definitions import contract_of
from roundtrip.lakehouse.yaml_file import YamlFile

REMEDY = "Keep it, or raise `version:` in this file when every reader is ready."


def is_checkout(folder: Path) -> bool:
    """Whether git knows an earlier state of `folder`."""
    return _git(folder, "rev-parse", "--verify", "--quiet", "HEAD").returncode == 0


def faults_against(ref: str, folder: Path) -> Iterator[str]:
    """`path:line: …` of each breaking change of sql/*/*/schema.yaml below `folder`, from `ref` to the working tree.

    Raises UnknownRef when git can't say what was there.
    """
    if _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").returncode:
        raise UnknownRef(f"git knows no {ref!r} in {folder}: name a branch, tag or commit of this checkout, or leave --against out.")
    changed = _git(folder, "diff", "--relative", "--no-renames", "--name-only", ref, "--", ":(glob)sql/*/*/schema.yaml")
    for path in changed.stdout.splitlines():
        before = _git(folder, "show", f"{ref}:./{path}")
        if before.returncode == 0:
            yield from _faults_of_table(folder, path, before.stdout, ref)


def _faults_of_table(folder: Path, path: str, before: str, ref: str) -> Iterator[str]:
    if not (folder / path).is_file():
        yield f"{path}:1: the table is gone, that {ref} has. Keep it while anything reads it; then commit its removal by itself."
        return
    try:
        old, now = YamlFile.parse(before, name=f"{ref}:{path}"), YamlFile.read(folder / path, root=folder)
        changes = list(breaking_changes(contract_of(old), contract_of(now)))
    except BadDefinition as error:
        yield f"{error} {path} can't be compared with {ref}."
        return
    for way, change in changes:
        yield f"{now.place(way)}: {change} ({ref}). {REMEDY}"


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """git's answer; exit code 127 when there is no git."""
    try:
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return subprocess.CompletedProcess(["git", *arguments], 127, "", "git is not installed")
