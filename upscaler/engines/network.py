"""Any network that spandrel loads, as an engine."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch

from ..arrays import FloatArray
from ..device import dtype_name, free_memory, pick_device, pick_precision
from ..errors import ModelError, OutOfMemory, PlanError, UpscalerError
from ..tiling import RAMP, TileRequirements
from .base import Engine, EngineInfo
from .probe import TilingProfile, Trial, measure_tiling, remembered, sample, try_out

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

log = logging.getLogger("upscaler")

WINDOW = 16
"""Networks that need a minimum size work in windows of 8 or 16 pixels: tiles begin at multiples of this, so that the
windows of neighbours coincide."""

CPU_CACHE = 32 * 2**20
"""Bytes of working memory up to which a tile is computed fastest on a CPU (measured: a network of 64 features in bf16
takes 1.4 µs a pixel at 256x256, 3.1 at 512x512; `photo` in float32 with AVX2 8.8 at 256x256, 12.0 at 384x384)."""

GPU_BATCH = 2**20
"""Source pixels run together on a GPU: enough to fill it."""

WIDE_RAMP = 32
"""Source pixels over which tiles are blended that may differ as wholes."""

HALF_ERROR = 0.02
"""Root mean square of what half precision may change in the result of a sample: five 8-bit levels."""

HALF_ERROR_ANYWHERE = 0.25
"""And at most at any pixel."""


class Weights(Protocol):
    """Where a network comes from; see `Checkpoint`."""

    @property
    def key(self) -> str:
        """The same for the same weights."""
        ...

    def load(self) -> ImageModelDescriptor[torch.nn.Module]:
        """The network, float32 on the CPU, each time anew."""
        ...


@dataclass(frozen=True, slots=True)
class _ComputeMode:
    """A way to compute: not every network works in each."""

    dtype: torch.dtype
    autocast: bool = False
    """Weights stay float32; PyTorch chooses the type of each operation."""


class NetworkEngine:
    """One network on one device in one precision. Holds no state between calls."""

    def __init__(
        self,
        weights: Weights,
        *,
        name: str,
        device: str | None = None,
        precision: str = "auto",
        reach: int | None = None,
        cuts: TilingProfile | None = None,
        plain: bool = False,
    ) -> None:
        """`reach` in source pixels: what is known of `cuts`; with neither they are measured. `plain` computes without
        oneDNN's kernels.

        Raises ModelError when the file holds no network that can be used here, PlanError for device and precision.
        """
        self._weights = weights
        self._name = name
        self._plain = plain
        self._device = pick_device(device)
        self._lock = threading.Lock()
        self._safer: Engine | None = None
        self._network = weights.load().eval()
        network = self._network
        channels = _channels(network, name)
        trial = self._tried_out(sample(channels, network.size_requirements.minimum))
        self._draws = trial.is_stochastic
        half, bfloat16 = (
            (not trial.uses_grid_sample and it) for it in (network.supports_half, network.supports_bfloat16)
        )
        self._dtype = pick_precision(precision, self._device, half, bfloat16)
        grid = _multiple(network)
        self._cuts = cuts or (
            remembered(weights.key, lambda: measure_tiling(self._on_cpu, channels, network.scale, grid))
            if reach is None
            else TilingProfile(reach)
        )
        self._way = self._prepare(trial, precision)
        memory = trial.bytes_per_pixel * (1.0 if self._way.autocast else self._way.dtype.itemsize / 4)
        on_cpu = self._device.type == "cpu"
        discouraged = network.tiling.name == "DISCOURAGED"
        as_wholes = discouraged or not self._cuts.is_local
        self.info = EngineInfo(
            name=self._name,
            needs=TileRequirements(
                scale=network.scale,
                reach=self._cuts.reach,
                multiple=int(np.lcm(self._cuts.multiple, grid)),
                minimum=max(network.size_requirements.minimum, 1),
                ramp=WIDE_RAMP if as_wholes else RAMP,
                bytes_per_pixel=memory * 1.2,
                fast_pixels=CPU_CACHE / memory if on_cpu and not as_wholes else 2.0**62,
                batch_pixels=0 if on_cpu or not self._cuts.together else GPU_BATCH,
                divisible=network.tiling.name != "INTERNAL",
            ),
            channels=channels,
            device=str(self._device),
            precision=dtype_name(self._way.dtype),
            keeps_tone=network.purpose == "SR",
            free_memory=free_memory(self._device),
        )
        if as_wholes and cuts is None:  # a safer version, which is given its cuts, need not say it again
            reason = "its makers advise against tiles" if discouraged else "it looks at the whole of a tile at once"
            log.warning("%s: %s; its tiles are large and widely blended.", self._name, reason)

    def run(self, tiles: FloatArray) -> FloatArray:
        """See `Engine.run`."""
        try:
            if self._cuts.together:
                return self._result(tiles)
            return np.concatenate([self._result(tiles[index : index + 1]) for index in range(len(tiles))])
        except torch.OutOfMemoryError as error:
            _empty_cache(self._device)
            raise OutOfMemory(str(error)) from error
        except RuntimeError as error:
            if "can't allocate memory" in str(error) or "out of memory" in str(error).lower():
                _empty_cache(self._device)
                raise OutOfMemory(str(error)) from error
            raise

    def _result(self, tiles: FloatArray) -> FloatArray:
        return _to_numpy(self._compute(torch.from_numpy(tiles).permute(0, 3, 1, 2), self._way))

    def fallback(self) -> Engine | None:
        """float32 on the same device, float32 on the CPU, the CPU without oneDNN."""
        with self._lock:
            if self._safer is None and not self._plain:
                exact = self._way.dtype == torch.float32
                on_cpu = self._device.type == "cpu"
                self._safer = NetworkEngine(
                    self._weights,
                    name=self._name,
                    device="cpu" if exact else str(self._device),
                    precision="fp32",
                    cuts=self._cuts,
                    plain=exact and on_cpu,
                )
            return self._safer

    def _tried_out(self, tile: torch.Tensor) -> Trial:
        """Of a tile, in float32 on the CPU, in the layout that is fastest if the network can be computed so."""
        for layout in (torch.channels_last, torch.contiguous_format):
            self._layout = layout
            try:
                self._network.model.to(memory_format=layout)
                return try_out(self._on_cpu, tile)
            except UpscalerError:
                raise
            except Exception as error:  # whatever a network raises whose author never tried this
                if layout == torch.contiguous_format:
                    reason = (str(error).splitlines() or [type(error).__name__])[0]
                    raise ModelError(
                        f"{self._name}: does not run at first try ({reason}). Check model and device."
                    ) from error
                log.debug("%s: cannot be computed with channels last (%s).", self._name, error)
        raise AssertionError

    def _prepare(self, trial: Trial, precision: str) -> _ComputeMode:
        """Brings the network to the device in the first way that gives the result of the trial there.

        Raises PlanError when the precision that was asked for does not, ModelError when none does.
        """
        dtypes = [self._dtype, torch.float32] if precision == "auto" else [self._dtype]
        for way in (way for dtype in dtypes for way in _ways(dtype)):
            self._network.model.to(self._device, torch.float32 if way.autocast else way.dtype)
            if self._device.type == "cpu" and way.dtype == torch.float32:
                return way
            try:
                difference = (self._compute(trial.tile, way).float().cpu() - trial.result).abs()
                if difference.square().mean().sqrt() < HALF_ERROR and difference.max() < HALF_ERROR_ANYWHERE:
                    return way
                log.debug("%s: is wrong if computed with %s.", self._name, way)
            except torch.OutOfMemoryError as error:
                raise OutOfMemory(f"{self._name}: does not fit into the memory of {self._device}.") from error
            except Exception as error:  # as above
                log.debug("%s: cannot be computed with %s (%s).", self._name, way, error)
            self._network = self._weights.load().eval()  # whose weights are not rounded
            self._network.model.to(memory_format=self._layout)
        if torch.float32 in dtypes:
            raise ModelError(f"{self._name}: cannot be computed on {self._device}. Use --device cpu.")
        raise PlanError(f"--precision {precision}: this model cannot be computed so. Use auto or fp32.")

    def _compute(self, batch: torch.Tensor, way: _ComputeMode) -> torch.Tensor:
        """(tiles, channels, height, width) on the CPU to the same on the device, enlarged."""
        with (
            torch.inference_mode(),
            _same_noise(self._device) if self._draws else nullcontext(),
            _plain_kernels() if self._plain else nullcontext(),
            torch.autocast(self._device.type, way.dtype) if way.autocast else nullcontext(),
        ):
            dtype = torch.float32 if way.autocast else way.dtype
            # A copy, because some networks write into what they are given.
            copy = batch.to(device=self._device, dtype=dtype, memory_format=self._layout, copy=True)
            result: torch.Tensor = self._network(copy)
        return result

    def _on_cpu(self, batch: torch.Tensor) -> torch.Tensor:
        """float32 on the CPU, before the network is brought to its device."""
        with (
            torch.inference_mode(),
            _same_noise(torch.device("cpu")),
            _plain_kernels() if self._plain else nullcontext(),
        ):
            result: torch.Tensor = self._network(batch.clone(memory_format=self._layout))
        return result


def _ways(dtype: torch.dtype) -> list[_ComputeMode]:
    """The fastest first."""
    return (
        [_ComputeMode(dtype)] if dtype == torch.float32 else [_ComputeMode(dtype), _ComputeMode(dtype, autocast=True)]
    )


def _channels(network: ImageModelDescriptor[torch.nn.Module], name: str) -> Literal[1, 3]:
    ways = network.input_channels, network.output_channels
    if ways not in ((1, 1), (3, 3)):
        raise ModelError(f"{name}: takes {ways[0]} channels and gives {ways[1]}; 1 to 1 and 3 to 3 are supported.")
    return 1 if ways[0] == 1 else 3


def _multiple(network: ImageModelDescriptor[torch.nn.Module]) -> int:
    needs = network.size_requirements
    return int(np.lcm(needs.multiple_of, WINDOW if needs.minimum >= 8 else 1))


def _to_numpy(result: torch.Tensor) -> FloatArray:
    """(tiles, channels, height, width) of any type on any device to float32 (tiles, height, width, channels)."""
    pixels: FloatArray = result.permute(0, 2, 3, 1).float().contiguous().cpu().numpy()
    return pixels


@contextmanager
def _same_noise(device: torch.device) -> Iterator[None]:
    """What a network draws at random is the same for every tile, or their edges would not meet."""
    on_device = device.type in ("cuda", "xpu")
    with torch.random.fork_rng([device] if on_device else [], device_type=device.type if on_device else "cuda"):
        torch.manual_seed(0)
        yield


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
