"""Tiles of several pictures in one batch: computed before the pictures are, and handed out as each asks for its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from ..arrays import FloatArray
from .base import Engine

log = logging.getLogger("upscaler")


def ahead(engine: Engine, tiles: Sequence[FloatArray]) -> list[Engine]:
    """An engine for each of several tiles of one size, (height, width, 1 or as many channels as the engine takes), that
    need not compute this tile again. When they cannot be computed together, they will be one by one."""
    channels = engine.info.channels
    batch = np.stack([np.broadcast_to(tile, (*tile.shape[:2], channels)) for tile in tiles])
    try:
        results = engine.run(batch)
    except Exception as error:  # what it means for each tile is found when it is computed alone
        log.info("%d small pictures cannot be computed together (%s).", len(tiles), error)
        return [engine] * len(tiles)
    return [Ahead(engine, batch[index : index + 1], results[index : index + 1]) for index in range(len(tiles))]


class Ahead:
    """An engine that knows the result of one batch already."""

    def __init__(self, engine: Engine, tiles: FloatArray, results: FloatArray) -> None:
        self._engine = engine
        self._tiles = tiles
        self._results = results
        self.info = engine.info

    def run(self, tiles: FloatArray) -> FloatArray:
        """See `Engine.run`."""
        return self._results if np.array_equal(tiles, self._tiles) else self._engine.run(tiles)

    def fallback(self) -> Engine | None:
        """See `Engine.fallback`."""
        return self._engine.fallback()
