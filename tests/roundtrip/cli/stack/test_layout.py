from pathlib import Path

import pytest

from roundtrip.cli.stack.layout import PORT_BASE, PORT_OFFSETS, Stack, chosen_ports, save_ports
from roundtrip.contracts.errors import BadPort


def test_ports_are_the_defaults_until_one_says_otherwise(tmp_path: Path) -> None:
    assert chosen_ports(tmp_path, {}) == {name: PORT_BASE + offset for name, offset in PORT_OFFSETS.items()}


def test_one_port_can_be_chosen(tmp_path: Path) -> None:
    ports = chosen_ports(tmp_path, {"ROUNDTRIP_PORT_GATEWAY": "8080"})
    assert ports["gateway"] == 8080
    assert ports["mlflow"] == PORT_BASE + PORT_OFFSETS["mlflow"]


def test_all_ports_can_be_moved_but_for_one(tmp_path: Path) -> None:
    ports = chosen_ports(tmp_path, {"ROUNDTRIP_PORT_BASE": "21000", "ROUNDTRIP_PORT_SPARK": "15002"})
    assert ports["spark"] == 15002
    assert ports["s3"] == 21000 + PORT_OFFSETS["s3"]


def test_another_shell_finds_the_ports_of_the_last_up(tmp_path: Path) -> None:
    chosen = chosen_ports(tmp_path, {"ROUNDTRIP_PORT_BASE": "21000"})
    save_ports(Stack(home=tmp_path, ports=chosen))
    assert chosen_ports(tmp_path, {}) == chosen


@pytest.mark.parametrize("value", ["80", "65536", "http", "", "-1", "56000"])
def test_what_is_no_port_is_refused_with_its_variable(tmp_path: Path, value: str) -> None:
    with pytest.raises(BadPort, match=f"ROUNDTRIP_PORT_S3={value} "):  # 56000: SeaweedFS needs port + 10000 as well
        chosen_ports(tmp_path, {"ROUNDTRIP_PORT_S3": value})
