"""The contracts between the pipeline and whatever computes tiles, or whole pictures."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from ..arrays import PixelArray, Pixels
from ..tiling import Band, Budget, Size, TileRequirements

if TYPE_CHECKING:
    from typing_extensions import TypeIs


CPU_MEMORY = 10 * 2**30
"""Bytes that tiles take at most on a CPU by default: more makes nothing faster and disturbs other programs."""


class MemoryLimit:
    """The most source pixels that an engine runs together. Running out of memory lowers it for all pictures and threads
    that use the engine."""

    def __init__(self, pixels: float = math.inf) -> None:
        self.pixels = pixels
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return MemoryLimit, (self.pixels,)

    def lower(self, pixels: float) -> None:
        """Lowers the limit, unless it is lower already."""
        with self._lock:
            self.pixels = min(self.pixels, pixels)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Facts about an engine that the plan and the checks need."""

    name: str
    needs: TileRequirements
    channels: Literal[1, 3] = 3
    """1 for an engine that takes grey tiles only; colour goes through it a channel at a time."""
    device: str = "cpu"
    precision: str = "fp32"
    backend: str = ""
    """The library that computes, "torch" or "ncnn"; empty for the plain filter."""
    multiply_adds: float = 0.0
    """The arithmetic for each source pixel; 0 if it is not known."""
    keeps_tone: bool = True
    """Whether a tile's result, shrunk, must look like the tile. False for networks that relight or dehaze."""
    free_memory: int = 2**31
    """Bytes that may be spent on tiles."""
    limit: MemoryLimit = field(default_factory=MemoryLimit, compare=False)

    @property
    def tile_memory(self) -> int:
        """Bytes that tiles may take by default."""
        return self.free_memory if self.device != "cpu" else min(self.free_memory, CPU_MEMORY)


class Engine(Protocol):
    """Computes tiles. Holds no state between calls but `info.limit`, and may be called from several threads."""

    @property
    def info(self) -> EngineInfo: ...

    def run(self, tiles: Pixels) -> Pixels:
        """Enlarges tiles, float32, 0..1, (tiles, height, width, `info.channels`), `info.needs.scale` times.

        Tiles lie on the surface of `info.device` (see `surface.surface_for`), and so do results: arrays of the host,
        float32; or tensors of a GPU, in whatever precision the engine computes.

        Raises OutOfMemory when there is too little memory, DeviceLost when the device will never compute again; any
        other exception means that they cannot be computed.
        """
        ...

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        """Returns the same network computed more carefully (fp32, then on the CPU, then by plain kernels), or with
        `elsewhere` the one that needs no memory of this device; None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """The plan for a picture that is computed as a whole: all windows, at every step."""

    size: Size
    """Size of the picture."""
    scale: int
    tile: Size
    """Size of every window in pixels of the picture."""
    window: int
    """Largest side of a window in cells, which are usually latents."""
    overlap: int
    """Cells that neighbouring windows share at least."""
    windows: int
    steps: int
    batch: int
    """Windows computed together."""
    memory: int
    """Bytes expected at most, the model included."""

    @property
    def count(self) -> int:
        return self.windows * self.steps


class ImageEngine(Protocol):
    """Computes whole pictures: all windows are denoised together, and no tile stands alone. Computes one picture at a
    time, and may be called from several threads."""

    @property
    def info(self) -> EngineInfo: ...

    def plan(self, size: Size, budget: Budget) -> ImagePlan:
        """Plans how a picture of that size is computed. Raises PlanError when it cannot be with such a budget."""
        ...

    def run(self, pixels: PixelArray, plan: ImagePlan, progress: Callable[[int], None]) -> Iterator[Band]:
        """Yields bands of the enlarged picture, top to bottom, with the channels of `pixels`, (height, width, 1 or 3).

        `progress` takes how many more of `plan.count` are done; an exception from it ends the run. Raises EngineError
        when the picture cannot be computed, OutOfMemory when there is too little memory.
        """
        ...


def is_image_engine(engine: Engine | ImageEngine) -> TypeIs[ImageEngine]:
    """Returns whether an engine computes whole pictures."""
    return hasattr(engine, "plan")
