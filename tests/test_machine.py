"""What a machine has, told without torch."""

import subprocess
import sys

import pytest

from upscaler import machine
from upscaler.device import cpu_has_bfloat16
from upscaler.machine import (
    available_memory,
    budget_for_tiles,
    count_processors,
    has_bfloat16,
    has_driver,
    whole_memory,
)


def test_it_is_told_without_torch() -> None:
    code = (
        "import sys; from upscaler import machine, vulkan; machine.has_driver(); machine.has_bfloat16(); "
        "vulkan.vulkan_devices(); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"


def test_workers_share_memory_and_threads_are_those_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < budget_for_tiles() <= available_memory() <= whole_memory()
    monkeypatch.setattr(machine, "available_memory", lambda: 1e9)
    monkeypatch.setattr(machine, "whole_memory", lambda: 1e9)
    monkeypatch.setenv("UPSCALER_WORKERS", "cpu,cpu,cuda:0")
    assert budget_for_tiles() == pytest.approx(2e8)
    assert budget_for_tiles(10**8) == 10**8
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert count_processors() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch knows better")
def test_torch_finds_the_same_instructions() -> None:
    assert has_bfloat16() == cpu_has_bfloat16()


def test_a_driver_is_one_that_can_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "DRIVERS", ("libnothing-of-the-kind.so.9", "libc.so.6"))
    has_driver.cache_clear()
    try:
        assert has_driver() == (sys.platform == "linux")
    finally:
        has_driver.cache_clear()
