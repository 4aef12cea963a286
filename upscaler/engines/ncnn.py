"""Networks that ncnn computes, as an engine: on processors, and on every GPU that speaks Vulkan. It needs no torch."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from typing import Final

import numpy as np

from ..arrays import FloatArray, Pixels
from ..errors import EngineError, ModelError, OutOfMemory, PlanError, first_line
from ..machine import budget_for_tiles
from ..tiling import RAMP, TileRequirements
from ..vulkan import SHARE, VulkanDevice, is_vulkan, pick_vulkan
from .base import CPU_MEMORY, Engine, EngineInfo
from .ncnn_net import NcnnNet, NcnnNetwork
from .probe import (
    HALF_ERROR,
    HALF_ERROR_ANYWHERE,
    WIDE_RAMP,
    WINDOW,
    TilingProfile,
    load_or_measure,
    measure_tiling,
    sample,
)

log = logging.getLogger("upscaler")

PRECISIONS: Final = ("auto", "fp32", "fp16")

MEMORY_FACTOR = 2.5
"""Memory that the allocator takes for each byte that is alive at once (measured: 2.0 to 2.8)."""

HALF_MEMORY = 0.6
"""Share of the memory of float32 that half precision takes on Vulkan devices (measured: 0.58 of a driver's allocations
with Real-ESRGAN x4plus-anime and 192x192 pixels)."""

RESULT_BYTES = 64
"""Bytes for each pixel of the result: it is copied into other layouts."""

FAST_BYTES = 160 * 2**20
"""Bytes alive at once up to which a tile is computed fast on a processor. Measured with AVX-512, a network of 64
features and 768x512 pixels: 80 MiB, with more overlap, take 9 % more of the processor's time, 320 MiB 1 % more."""

SLOWDOWN = 0.1
"""How much more time a pixel takes in tiles twice as large (measured with AVX-512: `photo` 2.2 µs at 128x128 and 2.7 at
1024x1024, Real-ESRGAN x4plus 82 at 96x96 and 122 at 400x400)."""

LARGEST_BLOB = 2**30
"""Bytes of a blob up to which Vulkan drivers in use allow a buffer."""


class NcnnEngine:
    """One network in ncnn's form on a processor or a Vulkan device. May be called from several threads.

    network = find_network(Path("photo-x4.safetensors"))
    engine = NcnnEngine.load(network, name="photo", device="vulkan")
    larger = engine.run(tiles)
    """

    def __init__(
        self, network: NcnnNetwork, net: NcnnNet, profile: TilingProfile, info: EngineInfo, plain: bool
    ) -> None:
        """Keeps what `load` has found out."""
        self.info = info
        self._network, self._net, self._profile, self._plain = network, net, profile, plain
        self._lock = threading.Lock()
        self._fallbacks: dict[tuple[str, bool], Engine] = {}

    @classmethod
    def load(
        cls,
        network: NcnnNetwork,
        *,
        name: str,
        device: str = "cpu",
        precision: str = "auto",
        reach: int | None = None,
        profile: TilingProfile | None = None,
        keeps_tone: bool | None = None,
        plain: bool = False,
    ) -> NcnnEngine:
        """Loads a network on "cpu", "vulkan" or "vulkan:<index>".

        `precision` is "auto", "fp32" or "fp16"; "auto" is fp32 on processors, and on Vulkan devices fp16 if that gives
        the right result for a sample. `reach`, in source pixels, may be given in place of `profile`; with neither, it
        is measured. `keeps_tone`: see `EngineInfo`; None is what the architecture tells. `plain` takes the simplest
        kernels. Raises ModelError when ncnn cannot compute it, PlanError for device and precision, OutOfMemory.
        """
        card = pick_vulkan(device) if is_vulkan(device) else None
        if precision not in PRECISIONS or (precision == "fp16" and card is None):
            raise PlanError(
                f"ncnn computes {'fp32 and fp16' if card else 'fp32 on a processor'}. Choose auto or fp32.",
                argument="precision",
                value=precision,
            )
        around = network.around
        net, chosen = NcnnNet(network, plain=plain), "fp32"
        try:
            found = profile or (None if reach is None else TilingProfile(reach)) or _profile(network, net)
            if card is not None:
                net, chosen = _move(network, net, card, ("fp16", "fp32") if precision == "auto" else (precision,))
        except OutOfMemory:
            raise
        except EngineError as error:
            raise ModelError(f"{name}: the network does not run at first try ({first_line(error)}).") from error
        info = EngineInfo(
            name=name,
            needs=_requirements(network, found, chosen, card is not None),
            channels=1 if around.channels == 1 else 3,
            device=card.name if card else "cpu",
            precision=chosen,
            backend="ncnn",
            multiply_adds=network.multiply_adds,
            keeps_tone=around.keeps_tone if keeps_tone is None else keeps_tone,
            free_memory=int(card.memory * SHARE) if card else budget_for_tiles(CPU_MEMORY),
        )
        return cls(network, net, found, info, plain)

    def run(self, tiles: Pixels) -> Pixels:
        """Computes tiles, one by one, as `Engine.run` says."""
        if tiles.shape[1] * tiles.shape[2] > self.info.needs.most_pixels:
            raise OutOfMemory(f"{self.info.name}: the tile is larger than {self.info.device} can compute.")
        return np.stack([self._net.compute(tile) for tile in tiles])

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        """Returns the network in float32 on the same device, then on the processor, then by the simplest kernels."""
        is_on_cpu, is_exact = self.info.device == "cpu", self.info.precision == "fp32"
        if self._plain or (elsewhere and is_on_cpu):
            return None
        device = self.info.device if not is_exact and not elsewhere else "cpu"
        with self._lock:
            key = device, is_on_cpu
            if key not in self._fallbacks:
                self._fallbacks[key] = NcnnEngine.load(
                    self._network,
                    name=self.info.name,
                    device=device,
                    precision="fp32",
                    profile=self._profile,
                    keeps_tone=self.info.keeps_tone,
                    plain=is_on_cpu,
                )
            return self._fallbacks[key]


def _profile(network: NcnnNetwork, net: NcnnNet) -> TilingProfile:
    """Returns how results change at a cut, which is measured once. Raises EngineError."""
    around = network.around

    def compute_all(tiles: FloatArray) -> FloatArray:
        return np.stack([net.compute(tile.transpose(1, 2, 0)).transpose(2, 0, 1) for tile in tiles])

    return load_or_measure(
        network.key, lambda: measure_tiling(compute_all, around.channels, around.scale, _multiple(network))
    )


def _move(network: NcnnNetwork, on_cpu: NcnnNet, card: VulkanDevice, precisions: Sequence[str]) -> tuple[NcnnNet, str]:
    """Returns the network on a Vulkan device, in the first precision that gives what the processor gives of a sample,
    up to what half precision may change. Raises EngineError if none does."""
    around = network.around
    tile = sample(around.channels, around.minimum)[0].transpose(1, 2, 0)
    expected = on_cpu.compute(tile)
    problem = ""
    for precision in precisions:
        net = NcnnNet(network, vulkan=card.index, half=precision == "fp16")
        try:
            difference = np.abs(net.compute(tile) - expected)
        except EngineError as error:
            problem = f"{precision}: {first_line(error)}"
        else:
            if np.sqrt(np.square(difference).mean()) < HALF_ERROR and difference.max() < HALF_ERROR_ANYWHERE:
                return net, precision
            problem = f"{precision}: its result is wrong"
        log.debug("%s: cannot be computed on %s in %s.", network.param.name, card.name, problem)
    raise EngineError(f"on {card.name}, in {problem}; use another `device`, such as cpu")


def _multiple(network: NcnnNetwork) -> int:
    return math.lcm(network.around.multiple, WINDOW if network.around.minimum >= 8 else 1)


def _requirements(network: NcnnNetwork, profile: TilingProfile, precision: str, is_on_gpu: bool) -> TileRequirements:
    """Returns what a network requires of its tiles."""
    around = network.around
    share = HALF_MEMORY if precision == "fp16" else 1.0
    memory, fixed = share * network.bytes_per_pixel, share * network.fixed_bytes
    return TileRequirements(
        scale=around.scale,
        reach=profile.reach,
        multiple=math.lcm(profile.multiple, _multiple(network)),
        minimum=max(around.minimum, 1),
        ramp=RAMP if profile.is_local else WIDE_RAMP,
        bytes_per_pixel=1.2 * (MEMORY_FACTOR * memory + RESULT_BYTES * around.scale**2),
        fixed_bytes=1.2 * MEMORY_FACTOR * fixed,
        fast_pixels=FAST_BYTES / memory if not is_on_gpu and profile.is_local else 2.0**62,
        slowdown=SLOWDOWN,
        most_pixels=LARGEST_BLOB / 4 // network.elements_per_pixel if is_on_gpu else math.inf,
    )
