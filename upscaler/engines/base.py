"""The contract between the pipeline and whatever computes tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from ..arrays import FloatArray
from ..tiling import Needs


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Facts about an engine that the plan and the checks need."""

    name: str
    needs: Needs
    channels: Literal[1, 3] = 3
    """1: takes grey tiles only, colour goes through it a channel at a time."""
    device: str = "cpu"
    precision: str = "fp32"
    keeps_tone: bool = True
    """Whether a tile's result, shrunk, must look like the tile. False for networks that relight or dehaze."""
    free_memory: int = 2**31
    """Bytes that may be spent on tiles."""


class Engine(Protocol):
    """Computes tiles. Holds no state between calls, and may be called from several threads."""

    @property
    def info(self) -> EngineInfo: ...

    def run(self, tiles: FloatArray) -> FloatArray:
        """float32, 0..1, (tiles, height, width, `info.channels`) to the same at `info.needs.scale` times the size.

        Raises OutOfMemory when there was too little; any other exception means that the tiles could not be computed.
        """
        ...

    def safer(self) -> Engine | None:
        """The same network computed more carefully (fp32, then on the CPU, then by plain kernels); None at the end."""
        ...
