import platform
import time
from pathlib import Path

from roundtrip.training.machine import Environment, Load, processor


def test_load_is_that_of_the_time_since_the_last_look() -> None:
    load = Load()
    ends = time.monotonic() + 0.3
    while time.monotonic() < ends:
        pass
    busy = load.since_last()
    assert 0 < busy["system/cpu_utilization_percentage"] <= 100
    assert 0 < busy["system/system_memory_usage_percentage"] < 100
    assert load.since_last().keys() == busy.keys()


def test_the_environment_is_the_same_each_time_and_names_the_lock() -> None:
    assert Environment.here() == Environment.here()
    assert len(Environment.here().lock_sha256) == 64


def test_a_kernel_that_names_no_cpu_model_leaves_the_architecture(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name : Some CPU @ 2 GHz\n")
    assert processor(tmp_path / "cpuinfo") == "Some CPU @ 2 GHz"
    (tmp_path / "cpuinfo").write_text("processor : 0\n")
    assert processor(tmp_path / "cpuinfo") == platform.machine()
