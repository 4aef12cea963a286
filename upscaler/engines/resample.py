"""The plain Lanczos filter as an engine: a baseline, and the engine of most tests."""

from __future__ import annotations

import numpy as np

from ..arrays import FloatArray
from ..picture import resize
from ..tiling import Size, TileRequirements
from .base import Engine, EngineInfo

REACH = 4
"""Source pixels to either side on which a pixel of an enlargement depends."""


class ResampleEngine:
    """Enlarges by a whole factor without any network."""

    def __init__(self, scale: int = 4) -> None:
        self.info = EngineInfo(
            "lanczos", TileRequirements(scale, reach=REACH, bytes_per_pixel=32.0 * scale**2, fast_pixels=2**18)
        )

    def run(self, tiles: FloatArray) -> FloatArray:
        count, height, width, _ = tiles.shape
        size = Size(width, height).scaled(self.info.needs.scale)
        return np.stack([resize(tiles[index], size) for index in range(count)])

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        return None
