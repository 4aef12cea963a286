"""Chooses the library that computes a network: ncnn, which is loaded at once and computes on every GPU that speaks
Vulkan, or torch, which knows every architecture."""

from __future__ import annotations

import importlib.util
import logging
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import ModelError, PlanError, first_line
from ..machine import has_bfloat16, has_driver
from ..tiling import Budget, Size, plan
from ..vulkan import find_gpu, is_vulkan
from .base import EngineInfo

if TYPE_CHECKING:
    from .ncnn_net import NcnnNetwork

BACKENDS: Final = ("auto", "torch", "ncnn")

TORCH_WORK = 2e12
"""Multiply-adds of a picture from which on torch is worth its import, 3 seconds, on processors that multiply bfloat16
in hardware, where it takes about two thirds of ncnn's time. On others, and in float32, ncnn is faster."""

TORCH_SAVES = 1.35
"""How much longer torch takes than ncnn for a pixel in float32, at most (measured: Real-ESRGAN x4plus 1.35 with AVX2,
1.4 with AVX-512). Where ncnn computes so much twice because its tiles overlap, torch is faster, with larger tiles."""

log = logging.getLogger("upscaler")


def choose_network(
    backend: str, device: str | None, precision: str, file: Path, other: Path | None, share: float
) -> tuple[NcnnNetwork, str] | None:
    """Returns the network in ncnn's form and the device that ncnn computes it on, or None if torch computes it.

    With "auto" torch has the GPUs that it can use, and whatever ncnn does not know; ncnn has all other GPUs and the
    processor, but for half precision there. `other` and `share`: see `find_network`. Raises PlanError when backend,
    device and file do not go together, ModelError when ncnn is asked for and cannot compute the network.
    """
    is_pair = file.suffix.lower() == ".param"
    place = _place(backend, device, is_pair)
    if place is None or (backend == "auto" and not is_pair and place == "cpu" and precision not in ("auto", "fp32")):
        return None
    is_needed = backend == "ncnn" or is_pair or is_vulkan(device)
    try:
        from .ncnn_network import find_network

        network = find_network(file, other, share)
    except (ImportError, OSError, ModelError) as error:
        if is_needed or isinstance(error, PlanError):
            raise ModelError(f"{file}: ncnn cannot compute it ({first_line(error)}).") from error
        log.info("%s: torch computes it (%s).", file.name, first_line(error))
        return None
    if network is None and is_needed:
        raise ModelError(
            f"{file}: ncnn cannot compute networks of this architecture. Leave out `backend` and `device`."
        )
    return None if network is None else (network, place)


def is_faster_by_torch(info: EngineInfo, pixels: int) -> bool:
    """Returns whether a network that ncnn computes on the processor takes less time by torch for so large a picture."""
    if info.device != "cpu" or info.multiply_adds * pixels <= TORCH_WORK or importlib.util.find_spec("torch") is None:
        return False
    side = math.isqrt(pixels)
    return has_bfloat16() or plan(Size(side, side), info.needs, Budget(info.tile_memory)).computed > TORCH_SAVES


def _place(backend: str, device: str | None, is_pair: bool) -> str | None:
    """Returns the device that ncnn computes on, or None if torch computes. Raises PlanError."""
    if backend not in BACKENDS:
        raise PlanError(f"choose {', '.join(BACKENDS)}.", argument="backend", value=backend)
    if backend == "torch":
        if is_vulkan(device):
            raise PlanError("only ncnn computes there. Leave out `backend`.", argument="device", value=device)
        if is_pair:
            raise PlanError("only ncnn can compute this network. Leave it out.", argument="backend", value=backend)
        return None
    if device is None or device == "auto":
        if backend == "auto" and not is_pair and _torch_has_gpu():
            return None
        gpu = find_gpu()
        return "cpu" if gpu is None else gpu.name
    if device == "cpu" or is_vulkan(device):
        return device
    if backend == "ncnn" or is_pair:
        raise PlanError("ncnn computes on cpu or vulkan. Choose one of these.", argument="device", value=device)
    return None


def _torch_has_gpu() -> bool:
    """Returns whether torch computes on a GPU here. It is loaded only where a driver of one is."""
    if "torch" not in sys.modules and not has_driver():
        return False
    try:
        from ..device import pick_device
    except (ImportError, OSError):
        return False
    return pick_device().type != "cpu"
