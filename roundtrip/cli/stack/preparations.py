"""One-off work before a service's first start. Each runs again without harm, finishes what a killed one began,
and returns whether there was anything to do."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from roundtrip.cli.stack import environment
from roundtrip.cli.stack.commands import postgres_data, postgres_owner, postgres_program
from roundtrip.cli.stack.credentials import write_private
from roundtrip.cli.stack.layout import HOST, Stack, program, repository_path
from roundtrip.cli.stack.probes import s3_client
from roundtrip.contracts.errors import ServiceUnavailable
from roundtrip.contracts.storage import check_conditional_put

DATABASES = {"airflow": "airflow", "mlflow": "mlflow", "mlflow_auth": "mlflow", "roundtrip": "roundtrip"}
"""Database → the role that owns it."""


def create_postgres_cluster(stack: Stack) -> bool:
    """initdb with password sign-in; into a folder beside it, renamed when complete."""
    data = postgres_data(stack)
    if data.exists():
        return False
    user, group = postgres_owner()
    _let_traverse(data.parent, user)
    data.parent.mkdir(exist_ok=True)
    os.chown(data.parent, user, group)
    partial = data.with_name("partial")
    shutil.rmtree(partial, ignore_errors=True)
    password_file = data.with_name("password")
    write_private(password_file, stack.credentials.postgres_password)
    os.chown(password_file, user, group)
    options = ("--username=postgres", "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C.UTF-8")
    argv = [str(postgres_program("initdb")), "-D", str(partial), *options]
    _run("initdb", argv, environment.inherited(), log=stack.log_of("postgres_cluster"), owner=(user, group))
    password_file.unlink()
    partial.rename(data)
    return True


def check_store(stack: Stack) -> bool:
    """Raises StoreUnsafe when the store would let two writers both write the same version of a table."""
    check_conditional_put(stack.storage_root, s3_client(stack))
    return False


def create_databases(stack: Stack) -> bool:
    """A role and a database each for Airflow, MLflow and the release state."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(
        host=HOST, port=stack.ports["postgres"], user="postgres", password=stack.credentials.postgres_password, autocommit=True
    ) as connection:
        roles = {row[0] for row in connection.execute("select rolname from pg_roles")}
        for role in sorted(set(DATABASES.values())):
            verb = sql.SQL("alter" if role in roles else "create")
            password = getattr(stack.credentials, f"{role}_database_password")
            connection.execute(sql.SQL("{} role {} login password {}").format(verb, sql.Identifier(role), sql.Literal(password)))
        present = {row[0] for row in connection.execute("select datname from pg_database")}
        absent = sorted(DATABASES.keys() - present)
        for database in absent:
            connection.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(database), sql.Identifier(DATABASES[database])))
    return bool(absent)


def prepare_airflow(stack: Stack) -> bool:
    """Airflow's tables and its admin user, by a script of their own: `airflow users create` takes the password as an argument."""
    script = repository_path("docker", "local_stack", "prepare_airflow.py")
    done, wanted = postgres_data(stack).with_name("airflow_prepared"), _airflow_digest(stack, script)
    if done.exists() and done.read_text() == wanted:
        return False
    variables = environment.for_service(stack, "airflow_database") | environment.addresses(stack) | environment.airflow(stack)
    _run("prepare_airflow", [str(program("python")), str(script)], variables, log=stack.log_of("airflow_database"))
    done.write_text(wanted)
    return True


def _airflow_digest(stack: Stack, script: Path) -> str:
    """SHA-256 of what decides on Airflow's tables and user: the locked Airflow, the script, the password."""
    content = script.read_bytes() + repository_path("requirements.txt").read_bytes() + stack.credentials.airflow_password.encode()
    return hashlib.sha256(content).hexdigest()


def _let_traverse(folder: Path, user: int) -> None:
    """Let PostgreSQL's user pass through (not list) the folders above its data, when it isn't the one who calls."""
    if user == os.geteuid():
        return
    for parent in (*folder.parents, *postgres_program("initdb").parents):
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)


def _run(title: str, argv: list[str], variables: dict[str, str], *, log: Path, owner: tuple[int, int] | None = None) -> None:
    """Run a command with its output in `log`, as another user if `owner` is one; raises ServiceUnavailable with the output's end."""
    become = None if owner in (None, (os.geteuid(), os.getegid())) else owner
    with log.open("w") as output:
        finished = subprocess.run(
            argv,
            env=variables,
            cwd="/",
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            user=become[0] if become else None,
            group=become[1] if become else None,
            extra_groups=[] if become else None,
        )
    if finished.returncode != 0:
        raise ServiceUnavailable(f"{title} ended with {finished.returncode}; end of {log}: {log.read_text()[-800:].strip()}")
