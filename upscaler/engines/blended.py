"""A network's result blended with that of the plain Lanczos filter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import FloatArray
from .base import Engine
from .resample import REACH, ResampleEngine


class Blended:
    """An engine whose result is a share of another engine's, and for the rest the Lanczos filter's."""

    def __init__(self, engine: Engine, blend: float) -> None:
        """`blend` is the share of `engine`, 0..1."""
        self._engine = engine
        self._blend = blend
        self._filter = ResampleEngine(engine.info.needs.scale)
        needs = engine.info.needs
        self.info = replace(engine.info, needs=replace(needs, reach=max(needs.reach, REACH)))

    def run(self, tiles: FloatArray) -> FloatArray:
        """See `Engine.run`."""
        plain = tiles if self.info.needs.scale == 1 else self._filter.run(tiles)
        result: FloatArray = plain + np.float32(self._blend) * (self._engine.run(tiles) - plain)
        return result

    def fallback(self) -> Engine | None:
        fallback = self._engine.fallback()
        return None if fallback is None else Blended(fallback, self._blend)
