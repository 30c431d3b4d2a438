"""What `roundtrip check` looks at: declarations, table folders, DAG files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import cast

from roundtrip.cli.check_contracts import faults_against
from roundtrip.cli.stack import environment
from roundtrip.cli.stack.layout import Stack, repository_path
from roundtrip.contracts.errors import RoundtripError
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.definitions import definition_of


def faults(stack: Stack, *, against: str | None) -> list[str]:
    """Every fault found, each as a text that says what to do; empty when all is well.

    Contracts are compared with those at the git ref `against`, with none when it is None. Raises UnknownRef.
    """
    found = [fault for use_case in _declared() for fault in faults_of_use_case(use_case, repository_path("sql"))]
    broken = faults_against(against, repository_path()) if against else ()
    return [*found, *broken, *faults_of_dags(stack, repository_path("dags"))]


def faults_of_use_case(use_case: UseCase, root: Path) -> Iterator[str]:
    """What is wrong with its tables' definitions below `root` (sql/): one that is missing, incomplete, or no SQL."""
    built = {table for feed in use_case.feeds for stage in feed.stages for table in stage}
    for table in sorted(built | {use_case.features_table, use_case.outcomes_table, use_case.predictions_table}):
        yield from _faults_of_table(use_case, table, root)


def faults_of_dags(stack: Stack, folder: Path) -> Iterator[str]:
    """Import errors of the DAG files in `folder`, as Airflow itself sees them. Needs no running service."""
    variables = environment.inherited() | environment.addresses(stack) | environment.airflow(stack)
    script = repository_path("docker", "local_stack", "parse_dags.py")
    answer = subprocess.run([sys.executable, str(script), str(folder)], env=variables, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        yield f"Airflow could not parse {folder} (exit code {answer.returncode}): {answer.stderr[-800:]}"
        return
    for path, error in json.loads(answer.stdout.splitlines()[-1]).items():
        yield f"{path}: {error}"


def _declared() -> tuple[UseCase, ...]:
    """Found by name, as a plugin is: the library imports no use case."""
    try:
        return cast("tuple[UseCase, ...]", import_module("use_cases").declared_use_cases())
    except (ImportError, AttributeError, TypeError) as error:
        raise RoundtripError(f"use_cases/ can't be read ({error}): each folder's declaration.py defines USE_CASE.") from error


def _faults_of_table(use_case: UseCase, table: str, root: Path) -> Iterator[str]:
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        definition = definition_of(use_case.name, table, root=root)
        if definition.query:
            sqlglot.parse_one(definition.query, dialect="spark")
    except RoundtripError as error:
        yield str(error)
    except SqlglotError as error:
        yield f"{root / use_case.name / table / 'query.sql'} is no Spark SQL: {error}"
