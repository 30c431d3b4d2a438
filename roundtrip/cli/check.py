"""What `roundtrip check` looks at: declarations, table folders, DAG files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import cast

from roundtrip.cli.stack import environment
from roundtrip.cli.stack.layout import Stack, program, repository_path
from roundtrip.contracts.errors import RoundtripError
from roundtrip.contracts.use_cases import UseCase

TABLE_FILES = ("query.sql", "schema.yaml", "checks.yaml")


def faults(stack: Stack) -> list[str]:
    """Every fault found, each as a text that says what to do; empty when all is well."""
    found = [fault for use_case in _declared() for fault in faults_of_use_case(use_case, repository_path("sql"))]
    return [*found, *faults_of_dags(stack)]


def faults_of_use_case(use_case: UseCase, sql: Path) -> Iterator[str]:
    """Tables that its feeds build and that have no complete folder, or a file in it that can't be read."""
    for feed in use_case.feeds:
        for stage in feed.stages:
            for table in stage:
                yield from _faults_of_table(sql / use_case.name / table, raw=table.startswith("raw_"))


def faults_of_dags(stack: Stack) -> Iterator[str]:
    """Import errors of dags/, as Airflow itself sees them. Needs no running service."""
    variables = environment.inherited() | environment.addresses(stack) | environment.airflow(stack)
    argv = [str(program("airflow")), "dags", "list-import-errors", "--local", "--output=json"]
    answer = subprocess.run(argv, env=variables, capture_output=True, text=True, check=False)
    start = answer.stdout.find("[{")
    if start >= 0:
        for entry in json.loads(answer.stdout[start:]):
            yield f"{entry['filepath']}: {entry['error']}"
    elif answer.returncode != 0:
        yield f"airflow could not parse dags/ (exit code {answer.returncode}): {(answer.stderr or answer.stdout)[-800:]}"


def _declared() -> tuple[UseCase, ...]:
    """Found by name, as a plugin is: the library imports no use case."""
    try:
        return cast("tuple[UseCase, ...]", import_module("use_cases").declared_use_cases())
    except (ImportError, AttributeError, TypeError) as error:
        raise RoundtripError(f"use_cases/ can't be read ({error}): each folder's declaration.py defines USE_CASE.") from error


def _faults_of_table(folder: Path, *, raw: bool) -> Iterator[str]:
    import sqlglot
    import yaml
    from sqlglot.errors import ParseError

    for name in TABLE_FILES[1:] if raw else TABLE_FILES:
        path = folder / name
        if not path.is_file():
            yield f"{path} is missing: a table's folder holds {', '.join(TABLE_FILES)} (a raw one needs no query)."
            continue
        try:
            if path.suffix == ".sql":
                sqlglot.parse_one(path.read_text(), dialect="spark")
            else:
                yaml.safe_load(path.read_text())
        except (ParseError, yaml.YAMLError) as error:
            yield f"{path} can't be read: {error}"
