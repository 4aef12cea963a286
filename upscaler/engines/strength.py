"""Less of a network: its result mixed with that of the plain Lanczos filter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import FloatArray
from .base import Engine
from .resample import REACH, ResampleEngine


class Tempered:
    """An engine whose result is `strength` of another's and for the rest the Lanczos filter's."""

    def __init__(self, engine: Engine, strength: float) -> None:
        """`strength` in 0..1."""
        self._engine = engine
        self._strength = strength
        self._filter = ResampleEngine(engine.info.needs.scale)
        needs = engine.info.needs
        self.info = replace(engine.info, needs=replace(needs, reach=max(needs.reach, REACH)))

    def run(self, tiles: FloatArray) -> FloatArray:
        """See `Engine.run`."""
        plain = self._filter.run(tiles)
        result: FloatArray = plain + np.float32(self._strength) * (self._engine.run(tiles) - plain)
        return result

    def safer(self) -> Engine | None:
        safer = self._engine.safer()
        return None if safer is None else Tempered(safer, self._strength)
