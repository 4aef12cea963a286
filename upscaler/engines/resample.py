"""The plain Lanczos filter as an engine: a baseline, and the engine of most tests."""

from __future__ import annotations

from ..arrays import Pixels
from ..surface import surface_of
from ..tiling import Size, TileRequirements
from .base import Engine, EngineInfo

REACH = 4
"""Source pixels to either side on which a pixel of an enlargement depends."""

MEMORY = 2**30
"""Bytes that tiles may take. Lower rows of tiles cost little here, so that the largest scans need no more."""


class ResampleEngine:
    """Enlarges by a whole factor without any network."""

    def __init__(self, scale: int = 4) -> None:
        needs = TileRequirements(scale, reach=REACH, bytes_per_pixel=32.0 * scale**2, fast_pixels=2**18)
        self.info = EngineInfo("lanczos", needs, free_memory=MEMORY)

    def run(self, tiles: Pixels) -> Pixels:
        """Computes tiles as `Engine.run` says, where they lie."""
        surface = surface_of(tiles)
        size = Size(tiles.shape[2], tiles.shape[1]).scaled(self.info.needs.scale)
        return surface.stack([surface.resize(tile, size) for tile in tiles])

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        return None
