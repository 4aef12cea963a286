"""ncnn, loaded so that its threads do not spin, and the GPUs on which it computes, which speak Vulkan."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .errors import PlanError

SOFTWARE = 3
"""The number by which Vulkan tells that a device is a processor (VkPhysicalDeviceType)."""

SHARE = 0.6
"""Share of the memory that a driver gives to this program which tiles may use; some is taken by weights."""


@dataclass(frozen=True, slots=True)
class VulkanDevice:
    """A device that a Vulkan driver offers."""

    index: int
    description: str
    """Its name, as the driver tells it."""
    is_software: bool
    """Whether it is a processor that a driver computes on as if it were a GPU."""
    memory: int
    """Bytes that this program may use of it, as its driver tells it."""

    @property
    def name(self) -> str:
        return f"vulkan:{self.index}"


@functools.cache
def load_ncnn() -> Any:
    """Returns the module `ncnn`. Raises ImportError and OSError.

    Its threads would spin while they wait for each other at the end of every loop: beside other work on the same cores
    a network of 34 layers took ten times as long and as much of the processor. On Linux they ask the environment when
    they are loaded; elsewhere `openmp_blocktime` of a network's options tells them.
    """
    is_chosen = "OMP_WAIT_POLICY" in os.environ
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import ncnn
    finally:
        if not is_chosen:  # torch's threads are meant to spin
            del os.environ["OMP_WAIT_POLICY"]
    return ncnn


@functools.cache
def vulkan_devices() -> tuple[VulkanDevice, ...]:
    """Returns all Vulkan devices, in the order of ncnn. None without a driver, or without ncnn."""
    try:
        ncnn = load_ncnn()
    except (ImportError, OSError):
        return ()
    found = []
    with silence():
        for index in range(ncnn.get_gpu_count()):
            info = ncnn.get_gpu_info(index)
            memory = ncnn.get_gpu_device(index).get_heap_budget() * 2**20
            found.append(VulkanDevice(index, info.device_name(), info.type() == SOFTWARE, memory))
    return tuple(found)


def find_gpu() -> VulkanDevice | None:
    """Returns the first Vulkan device that is a real GPU, if there is one."""
    return next((device for device in vulkan_devices() if not device.is_software), None)


def is_vulkan(name: str | None) -> bool:
    """Returns whether a device's name is that of a Vulkan device, whether this machine has it or not."""
    return name is not None and name.partition(":")[0] == "vulkan"


def pick_vulkan(name: str) -> VulkanDevice:
    """Returns the device "vulkan" or "vulkan:<index>"; "vulkan" is the first GPU, or else the first of all.

    Raises PlanError when this machine has no such device.
    """
    devices = vulkan_devices()
    if name == "vulkan" and devices:
        return find_gpu() or devices[0]
    for device in devices:
        if device.name == name:
            return device
    here = ", ".join(device.name for device in devices)
    has = f"It has {here}" if here else "It has none with a Vulkan driver"
    raise PlanError(f"this machine has no such device. {has}.", argument="device", value=name)


@contextmanager
def silence() -> Iterator[None]:
    """Keeps from standard error what ncnn writes there about every Vulkan device when it first looks for them."""
    sys.stderr.flush()
    try:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is no standard error
        yield
        return
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
