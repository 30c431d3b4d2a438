"""The stack's parts, in one table: what is started after what, on which ports, and how one sees that it is ready."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from roundtrip.cli.stack import commands, preparations, probes, triton
from roundtrip.cli.stack.commands import Command
from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts.errors import UnknownService


@dataclass(frozen=True, kw_only=True)
class _Named:
    name: str
    after: tuple[str, ...] = ()
    """Parts that must be ready first."""
    deadline_s: float = 300.0
    """Seconds after which `up` gives up on it. Idle cores need 30 at most, cores with five times too much to do 120."""


@dataclass(frozen=True, kw_only=True)
class Preparation(_Named):
    """One-off work that a service's first start needs; does nothing when it is done already."""

    run: Callable[[Stack], bool]
    """Returns whether there was anything to do."""


@dataclass(frozen=True, kw_only=True)
class Service(_Named):
    """A supervised process."""

    ports: tuple[str, ...] = ()
    command: Callable[[Stack], Command]
    ready: Callable[[Stack], None]
    """Raises ServiceUnavailable until the service does real work."""
    clean_up: Callable[[Stack], None] | None = None
    """What to remove before a start, when the last process was killed."""
    stop_signal: str = "TERM"


Part = Preparation | Service
"""Something that `up` brings up."""

PARTS: tuple[Part, ...] = (
    Preparation(name="postgres_cluster", run=preparations.create_postgres_cluster),
    Service(
        name="postgres",
        after=("postgres_cluster",),
        ports=("postgres",),
        command=commands.postgres,
        ready=probes.postgres_answers,
        stop_signal="INT",  # fast shutdown: doesn't wait for clients to leave
    ),
    Service(name="s3", ports=("s3", "s3_master", "s3_volume", "s3_filer"), command=commands.s3, ready=probes.s3_lists_the_bucket),
    Preparation(name="databases", after=("postgres",), run=preparations.create_databases),
    Preparation(name="s3_conditions", after=("s3",), run=preparations.check_store),
    Service(name="spark", after=("s3_conditions",), ports=("spark",), command=commands.spark, ready=probes.spark_counts),
    Preparation(name="airflow_database", after=("databases",), run=preparations.prepare_airflow),
    Service(name="mlflow", after=("databases", "s3"), ports=("mlflow",), command=commands.mlflow, ready=probes.mlflow_searches),
    Service(
        name="triton",
        ports=("triton_http", "triton_grpc", "triton_metrics"),
        command=triton.command,
        ready=probes.triton_is_ready,
        clean_up=triton.remove_leftovers,
    ),
    Service(
        name="airflow_api_server",
        after=("airflow_database",),
        ports=("airflow",),
        command=partial(commands.airflow, process="api-server"),
        ready=probes.airflow_api_answers,
    ),
    Service(
        name="airflow_scheduler",
        after=("airflow_database",),
        command=partial(commands.airflow, process="scheduler"),
        ready=probes.airflow_scheduler_beats,
    ),
    Service(
        name="airflow_dag_processor",
        after=("airflow_database",),
        command=partial(commands.airflow, process="dag-processor"),
        ready=probes.airflow_dag_processor_beats,
    ),
    Service(
        name="airflow_triggerer",
        after=("airflow_database",),
        command=partial(commands.airflow, process="triggerer"),
        ready=probes.airflow_triggerer_beats,
    ),
    Service(name="gateway", after=("databases", "s3"), ports=("gateway",), command=commands.gateway, ready=probes.gateway_is_live),
)

SERVICES = tuple(part for part in PARTS if isinstance(part, Service))


def service_named(name: str) -> Service:
    """The service of that name; raises UnknownService, listing those there are."""
    for service in SERVICES:
        if service.name == name:
            return service
    raise UnknownService(f"no service {name!r}: use one of {', '.join(service.name for service in SERVICES)}.")


def in_waves_to_stop() -> list[list[str]]:
    """Services in the order in which they can be stopped: in each wave those that none of the later waves needs."""
    needed_by = {service.name: {part.name for part in with_what_they_need([service.name])} - {service.name} for service in SERVICES}
    waves: list[list[str]] = []
    while needed_by:
        wave = [name for name in needed_by if not any(name in needed for needed in needed_by.values())]
        waves.append(wave)
        needed_by = {name: needed for name, needed in needed_by.items() if name not in wave}
    return waves


def with_what_they_need(names: Iterable[str]) -> tuple[Part, ...]:
    """The named services and all that must be ready before them, in the table's order; all parts when none is named."""
    wanted = [service_named(name).name for name in names] or [part.name for part in PARTS]
    by_name = {part.name: part for part in PARTS}
    needed: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in needed:
            needed.add(name)
            wanted.extend(by_name[name].after)
    return tuple(part for part in PARTS if part.name in needed)
