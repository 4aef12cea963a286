"""What this machine has, as far as that can be told without torch: processors, memory, drivers of GPUs."""

from __future__ import annotations

import ctypes
import functools
import math
import os
import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

SHARE = 0.6
"""Share of the free memory that tiles may use: allocators round up, and other programs want some too."""

DRIVERS = ("libcuda.so.1", "nvcuda.dll", "libze_loader.so.1", "ze_loader.dll", "amdhip64.dll")
"""Libraries that torch needs to compute on a GPU; on Linux, AMD's come with torch, and the kernel's device tells."""


def count_processors() -> int:
    """Returns how many processors this process may use: its affinity, its container's quota, or OMP_NUM_THREADS."""
    counts = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    with suppress(OSError, ValueError):  # of cgroup v2; "max" is no number
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text().split())
        counts.append(max(quota // period, 1))
    with suppress(KeyError, ValueError):
        counts.append(max(int(os.environ["OMP_NUM_THREADS"]), 1))
    return min(counts)


@functools.cache
def has_bfloat16() -> bool:
    """Returns whether the processor multiplies bfloat16 in hardware (AVX-512 BF16, AMX, or Arm's BF16 extension), as
    far as the system tells; Windows does not."""
    with suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text()
        return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16"))
    if sys.platform == "darwin" and platform.machine() == "arm64":
        with suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run(
                ["sysctl", "-n", "hw.optional.arm.FEAT_BF16"], capture_output=True, check=False, timeout=5
            )
            return told.stdout.strip() == b"1"
    return False


@functools.cache
def has_driver() -> bool:
    """Returns whether there is a driver of a GPU that torch may compute on. Only torch knows whether it does."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if any(Path(device).exists() for device in ("/dev/kfd", "/dev/dxg")):
        return True
    for name in DRIVERS:
        with suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


def available_memory() -> float:
    """Returns how many bytes of the machine's memory are free now, in its container if it is in one."""
    return min(psutil.virtual_memory().available, _container_limit())


def whole_memory() -> float:
    """Returns how many bytes the machine has, or its container, free or not."""
    try:
        limit = float((Path("/sys/fs/cgroup") / "memory.max").read_text())
    except (OSError, ValueError):
        limit = math.inf
    return min(psutil.virtual_memory().total, limit)


def budget_for_tiles(most: float = math.inf) -> int:
    """Returns how many bytes of the machine's memory networks plan their tiles with, for each of a job's workers: a
    share of all of it, at most `most`."""
    workers = len(os.environ.get("UPSCALER_WORKERS", "").split(","))
    return fit_budget(min(whole_memory() * SHARE / workers, most), available_memory() / workers)


def fit_budget(budget: float, free: float) -> int:
    """Returns a budget of bytes; while it is more than four fifths of what is free, a quarter is left off.

    So tiles, on whose edges results depend by half a level, are the same whatever other programs use, as long as it
    fits.
    """
    while budget > max(0.8 * free, 2**20):
        budget *= 0.75
    return int(budget)


def _container_limit() -> float:
    """Returns how many bytes a container leaves to its processes (cgroup v2); infinity outside of a container."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        cached = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())["inactive_file"]
    except (OSError, ValueError, KeyError):
        return math.inf
    return max(limit - used + int(cached), 0)
