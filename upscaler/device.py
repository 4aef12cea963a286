"""Chooses the device that computes and its precision, tells how much memory it has, and what its errors mean."""

from __future__ import annotations

import gc
import math
import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import torch

from .errors import DeviceLost, OutOfMemory, PlanError, first_line
from .machine import SHARE, available_memory, fit_budget, has_bfloat16, whole_memory
from .vulkan import is_vulkan

PRECISIONS: Final[dict[str, torch.dtype]] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}

BORROWED_SHARE = 0.4
"""The same as SHARE for a GPU in the machine's own memory."""

OUT_OF_MEMORY: Final = (
    "out of memory",  # CUDA, HIP, XPU, MPS
    "not enough memory",  # the processor, on Windows
    "can't allocate memory",
    "_status_alloc_failed",  # cuBLAS, cuDNN and their kin
    "miopenstatusallocfailed",
    "out_of_device_memory",  # Level Zero, below XPU
    "out_of_host_memory",
)
"""What backends say, in small letters, when memory has run out. Only some raise an exception of its own for it."""

LOST: Final = (
    "unspecified launch failure",
    "illegal memory access",
    "illegal instruction was encountered",
    "misaligned address",
    "device-side assert",
    "launch timed out",
    "hardware stack error",
    "uncorrectable ecc error",
    "fallen off the bus",
    "device_lost",  # Level Zero
)
"""What backends say, in small letters, of a fault after which a process cannot use its device any more."""

PROCESS_SWITCHES = threading.RLock()
"""Held while switches and random numbers of the whole process are changed for one computation: two threads that did so
at once would restore each other's."""


def pick_device(name: str | None = None) -> torch.device:
    """Returns the named device, or the best there is: CUDA or ROCm, XPU, MPS, CPU. Those of which a machine may have
    several have an index, because some of torch's functions refuse them without.

    Raises PlanError when the named one is not a device or not on this machine.
    """
    available = [kind for kind in ("cuda", "xpu", "mps") if _has(kind)]
    if name is None or name == "auto":
        name = available[0] if available else "cpu"
    if is_vulkan(name):
        message = "only ncnn computes there, which computes networks and no diffusion models. Choose another."
        raise PlanError(message, argument="device", value=name)
    here = ", ".join(map(str, devices()))
    try:
        device = torch.device("cuda" + name[4:] if name.startswith("rocm") else name)
    except RuntimeError as error:
        raise PlanError(f"no such kind of device. This machine has {here}.", argument="device", value=name) from error
    if device.type != "cpu" and (device.type not in available or (device.index or 0) >= _count(device.type)):
        raise PlanError(f"this machine has no such device. It has {here}.", argument="device", value=name)
    return torch.device(device.type, 0) if device.type in ("cuda", "xpu") and device.index is None else device


def pick_precision(name: str, device: torch.device, half: bool, bfloat16: bool) -> torch.dtype:
    """Returns the named precision; "auto" is the fastest that the device computes in hardware and the network supports.

    Raises PlanError for an unknown name, or one that the network does not support.
    """
    if name == "auto":
        if device.type == "cpu":
            return torch.bfloat16 if bfloat16 and cpu_has_bfloat16() else torch.float32
        if half:
            return torch.float16
        if bfloat16 and (device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)):
            return torch.bfloat16
        return torch.float32
    if name not in PRECISIONS:
        raise PlanError(f"choose auto, {', '.join(PRECISIONS)}.", argument="precision", value=name)
    if (name == "fp16" and not half) or (name == "bf16" and not bfloat16):
        raise PlanError("this model does not support it. Use auto or fp32.", argument="precision", value=name)
    return PRECISIONS[name]


def precision_name(device: torch.device) -> str:
    """Returns the name of the precision that "auto" chooses on a device for a network that supports every one."""
    return dtype_name(pick_precision("auto", device, half=True, bfloat16=True))


def dtype_name(dtype: torch.dtype) -> str:
    """Returns the name of a precision, such as "fp16" for torch.float16."""
    return next(name for name, known in PRECISIONS.items() if known == dtype)


def cpu_has_bfloat16() -> bool:
    """Returns whether the processor multiplies bfloat16 in hardware (AVX-512 BF16, AMX, or Arm's BF16 extension)."""
    asked = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    if any(ask is not None and ask() for ask in asked):
        return True
    return has_bfloat16()


def memory_for_tiles(device: torch.device, sharers: int | None = None) -> int:
    """Returns how many bytes tiles may use on the device now: a share of what `free_memory` returns."""
    return int(free_memory(device, sharers) * (BORROWED_SHARE if borrows_memory(device) else SHARE))


def budget_for_tiles(device: torch.device, most: float = math.inf) -> int:
    """Returns how many bytes networks plan their tiles with: a share of all of the device's memory, at most `most`; see
    `machine.fit_budget`."""
    share = BORROWED_SHARE if borrows_memory(device) else SHARE
    return fit_budget(min(_whole_memory(device) * share / _sharers(device), most), free_memory(device))


def borrows_memory(device: torch.device) -> bool:
    """Returns whether a GPU computes in the machine's memory, or its driver does not tell what is free of its own."""
    return device.type != "cpu" and _own_memory(device) is None


def free_memory(device: torch.device, sharers: int | None = None) -> int:
    """Returns how many bytes are free on the device now, for each of `sharers` processes that share it; None is the
    number of a job's workers that do.

    What torch has reserved in this process and does not use counts as free. A device that has no memory of its own, or
    whose driver does not tell how much is free, as Intel's integrated ones, has that of the machine.
    """
    own = _own_memory(device)
    all_free = available_memory() if own is None else own
    return int(all_free / (_sharers(device) if sharers is None else sharers))


def release() -> None:
    """Gives back the memory of objects that nothing refers to any more, on every device that this process uses."""
    gc.collect()  # modules, their hooks and exceptions refer to each other
    for kind in ("cuda", "xpu", "mps"):
        if _has(kind):
            with suppress(RuntimeError):  # a device that is lost has nothing to give
                getattr(torch, kind).empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an exception of torch or Python says that memory has run out, on a device or on the host."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in OUT_OF_MEMORY)


def is_lost(error: BaseException) -> bool:
    """Returns whether an exception says that this process cannot use its device any more, whatever it computes."""
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in LOST)


def own_error(error: Exception, device: torch.device) -> Exception:
    """Returns OutOfMemory for an exception that says that memory has run out, else the same exception.

    Lets go of what the failed calls had computed, which their frames in the traceback would keep on the device.
    """
    traceback.clear_frames(error.__traceback__)
    if not is_out_of_memory(error):
        return error
    own = OutOfMemory(f"out of memory on {device} ({first_line(error)}).")
    own.__cause__ = error
    return own


@contextmanager
def no_tf32() -> Iterator[None]:
    """Lets CUDA compute float32 with all of its digits: TF32, its default for convolutions, has ten, as float16."""
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    try:
        convolutions.allow_tf32 = products.allow_tf32 = False
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


@contextmanager
def report_loss(device: torch.device) -> Iterator[None]:
    """Raises DeviceLost in place of an exception that says that the device is lost."""
    try:
        yield
    except RuntimeError as error:
        if not is_lost(error):
            raise
        raise DeviceLost(
            f"{device} is lost to this process ({first_line(error)}). Run the same command again to go on; if it is "
            "lost again, look at what its driver has logged."
        ) from error


def describe(device: torch.device) -> str:
    """Returns the device's own name, as its driver tells it."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({'ROCm' if torch.version.hip else 'CUDA'})"
    if device.type == "xpu":
        return str(torch.xpu.get_device_name(device))
    if device.type == "mps":
        return "Apple GPU"
    return f"processor, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


def devices() -> list[torch.device]:
    """Returns all devices of this machine, the preferred one first."""
    found = [torch.device(kind, index) for kind in ("cuda", "xpu") if _has(kind) for index in range(_count(kind))]
    if _has("mps"):
        found.append(torch.device("mps"))
    return [*found, torch.device("cpu")]


def _has(kind: str) -> bool:
    return bool(getattr(torch, kind).is_available())


def _count(kind: str) -> int:
    return int(getattr(torch, kind).device_count())


def _own_memory(device: torch.device) -> int | None:
    """Returns how many bytes of a device's own memory are free; None if it has none, or its driver does not tell."""
    if device.type not in ("cuda", "xpu"):
        return None
    backend = getattr(torch, device.type)
    try:
        kept = backend.memory_reserved(device) - backend.memory_allocated(device)
        return int(backend.mem_get_info(device)[0] + kept)
    except RuntimeError:
        if device.type == "cuda":
            raise
        return None


def _sharers(device: torch.device) -> int:
    """Returns how many workers of a job share the memory of a device."""
    workers = os.environ.get("UPSCALER_WORKERS", "").split(",")
    return max(workers.count(str(device)), 1) if device.type in ("cuda", "xpu") else len(workers)


def _whole_memory(device: torch.device) -> float:
    """Returns how many bytes a device has, free or not; those of the machine if it has none of its own."""
    if _own_memory(device) is not None:
        return float(getattr(torch, device.type).mem_get_info(device)[1])
    return whole_memory()
