import dataclasses
from pathlib import Path

import pytest

from roundtrip.cli.stack import supervisor
from roundtrip.cli.stack.layout import PORT_OFFSETS, Stack, chosen_ports
from roundtrip.cli.stack.services import PARTS, SERVICES, Service, in_waves_to_stop, service_named, with_what_they_need
from roundtrip.contracts.errors import UnknownService


@pytest.fixture
def idle(tmp_path: Path) -> Stack:
    """A stack that nothing was started of."""
    (tmp_path / "run").mkdir()
    return Stack(home=tmp_path, ports=chosen_ports(tmp_path, {}))


def secrets_in(text: str, stack: Stack) -> list[str]:
    return [name for name, value in dataclasses.asdict(stack.credentials).items() if value in text]


def test_each_part_comes_after_what_it_needs() -> None:
    names = [part.name for part in PARTS]
    assert [part.name for part in PARTS if not set(part.after) <= set(names[: names.index(part.name)])] == []


def test_each_port_belongs_to_one_service() -> None:
    assert sorted(port for service in SERVICES for port in service.ports) == sorted(PORT_OFFSETS)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_no_secret_is_in_a_services_arguments(service: Service, idle: Stack) -> None:
    command = service.command(idle)
    shown = " ".join(command.argv).replace(command.hidden or "\0", "")
    assert secrets_in(shown, idle) == []


def test_no_secret_is_in_supervisors_configuration(idle: Stack) -> None:
    assert secrets_in(supervisor.configuration(idle), idle) == []


def test_a_service_brings_what_it_needs_and_nothing_else() -> None:
    assert {part.name for part in with_what_they_need(["spark"])} == {"spark", "s3_conditions", "s3"}


def test_a_service_is_stopped_before_what_it_needs() -> None:
    order = [name for wave in in_waves_to_stop() for name in wave]
    assert sorted(order) == sorted(service.name for service in SERVICES)
    late = {name: {part.name for part in with_what_they_need([name])} & set(order[: order.index(name)]) for name in order}
    assert {name: stopped for name, stopped in late.items() if stopped} == {}


def test_an_unknown_service_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownService, match="no service 'redis': use one of postgres, s3"):
        service_named("redis")
