"""Any network that spandrel loads, as an engine."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from ..arrays import FloatArray
from ..errors import ModelError, OutOfMemory
from ..tiling import Needs
from .base import Engine, EngineInfo
from .device import PRECISIONS, free_memory, pick_device, pick_precision
from .probe import measure_memory, measure_reach

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

log = logging.getLogger("upscaler")

WINDOW = 16
"""Networks that need a minimum size work in windows of 8 or 16 pixels: tiles begin at multiples of this, so that the
windows of neighbours coincide."""

CPU_CACHE = 32 * 2**20
"""Bytes of working memory up to which a tile is computed fastest on a CPU (measured: a network of 64 features in bf16
takes 1.4 µs a pixel at 256x256, 3.1 at 512x512)."""

GPU_BATCH = 2**20
"""Source pixels run together on a GPU: enough to fill it."""


class NetworkEngine:
    """One network on one device in one precision. Holds no state between calls."""

    def __init__(
        self,
        file: Path,
        *,
        name: str | None = None,
        device: str | None = None,
        precision: str = "auto",
        reach: int | None = None,
        plain: bool = False,
    ) -> None:
        """`reach` in source pixels; None has it measured. `plain` computes without oneDNN's kernels.

        Raises ModelError when the file holds no network that can be used here, PlanError for device and precision.
        """
        self._file = file
        self._name = name or file.stem
        self._plain = plain
        self._device = pick_device(device)
        self._lock = threading.Lock()
        self._safer: Engine | None = None
        self._network = _load(file)
        network = self._network
        self._dtype = pick_precision(precision, self._device, network.supports_half, network.supports_bfloat16)
        channels = _channels(network, file)
        memory = measure_memory(self._as_function(), channels, max(64, network.size_requirements.minimum))
        if reach is None:
            reach = measure_reach(self._as_function(), file, channels, network.scale, _multiple(network))
        network.model.to(device=self._device, dtype=self._dtype, memory_format=torch.channels_last)
        half = self._dtype.itemsize / 4
        on_cpu = self._device.type == "cpu"
        discouraged = network.tiling.name == "DISCOURAGED"
        if discouraged:
            log.warning("%s: its makers advise against tiles; they are large and widely blended.", self._name)
        self.info = EngineInfo(
            name=self._name,
            needs=Needs(
                scale=network.scale,
                reach=reach,
                multiple=_multiple(network),
                minimum=max(network.size_requirements.minimum, 1),
                ramp=32 if discouraged else 4,
                bytes_per_pixel=memory * half * 1.2,
                fast_pixels=CPU_CACHE / (memory * half) if on_cpu and not discouraged else 2.0**62,
                batch_pixels=0 if on_cpu else GPU_BATCH,
                divisible=network.tiling.name != "INTERNAL",
            ),
            channels=channels,
            device=str(self._device),
            precision=next(name for name, dtype in PRECISIONS.items() if dtype == self._dtype),
            keeps_tone=network.purpose in ("SR", "FaceSR"),
            free_memory=free_memory(self._device),
        )

    def run(self, tiles: FloatArray) -> FloatArray:
        """See `Engine.run`."""
        try:
            with torch.inference_mode(), _plain_kernels() if self._plain else nullcontext():
                batch = torch.from_numpy(tiles).permute(0, 3, 1, 2)  # which is channels_last already
                batch = batch.to(device=self._device, dtype=self._dtype)
                return _to_numpy(self._network(batch))
        except torch.OutOfMemoryError as error:
            _empty_cache(self._device)
            raise OutOfMemory(str(error)) from error
        except RuntimeError as error:
            if "can't allocate memory" in str(error) or "out of memory" in str(error).lower():
                _empty_cache(self._device)
                raise OutOfMemory(str(error)) from error
            raise

    def safer(self) -> Engine | None:
        """float32 on the same device, float32 on the CPU, the CPU without oneDNN."""
        with self._lock:
            if self._safer is None and not self._plain:
                exact = self._dtype == torch.float32
                on_cpu = self._device.type == "cpu"
                self._safer = NetworkEngine(
                    self._file,
                    name=self._name,
                    device="cpu" if exact else str(self._device),
                    precision="fp32",
                    reach=self.info.needs.reach,
                    plain=exact and on_cpu,
                )
            return self._safer

    def _as_function(self) -> _Function:
        return _Function(self._network)


class _Function:
    """A network as a function on float32 tensors on the CPU, for measuring."""

    def __init__(self, network: ImageModelDescriptor[torch.nn.Module]) -> None:
        self._network = network

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            result: torch.Tensor = self._network(batch)
            return result


def _load(file: Path) -> ImageModelDescriptor[torch.nn.Module]:
    import spandrel

    try:
        network = spandrel.ModelLoader(device="cpu").load_from_file(file)
    except FileNotFoundError as error:
        raise ModelError(f"{file}: no such file.") from error
    except spandrel.UnsupportedModelError as error:
        raise ModelError(f"{file}: holds no network of a known architecture.") from error
    except Exception as error:  # whatever a foreign file makes the loaders raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{file}: cannot be read as a network ({reason}).") from error
    if not isinstance(network, spandrel.ImageModelDescriptor):
        raise ModelError(f"{file}: is a network for filling masked holes, not for enlarging pictures.")
    return network.eval()


def _channels(network: ImageModelDescriptor[torch.nn.Module], file: Path) -> Literal[1, 3]:
    ways = network.input_channels, network.output_channels
    if ways not in ((1, 1), (3, 3)):
        raise ModelError(f"{file}: takes {ways[0]} channels and gives {ways[1]}; 1 to 1 and 3 to 3 are supported.")
    return 1 if ways[0] == 1 else 3


def _multiple(network: ImageModelDescriptor[torch.nn.Module]) -> int:
    needs = network.size_requirements
    return int(np.lcm(needs.multiple_of, WINDOW if needs.minimum >= 8 else 1))


def _to_numpy(result: torch.Tensor) -> FloatArray:
    """(tiles, channels, height, width) of any type on any device to float32 (tiles, height, width, channels)."""
    pixels: FloatArray = result.permute(0, 2, 3, 1).float().contiguous().cpu().numpy()
    return pixels


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Without oneDNN; the switch is one for the whole process, and slower for whoever computes meanwhile, not wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.backends.mkldnn.flags(enabled=False):
            yield


def _empty_cache(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "xpu":
        torch.xpu.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
