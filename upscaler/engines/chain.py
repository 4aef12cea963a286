"""Several networks one after the other, such as one that cleans and one that enlarges, as one engine."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..arrays import FloatArray
from ..tiling import TileRequirements
from .base import Engine
from .channels import adapt_channels


class Chain:
    """An engine that gives each tile to one engine after the other; nothing is rounded in between.

    What the engines do to a cut adds up, so the reach of the whole is the sum of their reaches.
    """

    def __init__(self, first: Engine, then: Engine) -> None:
        """`first` and `then` may be chains themselves."""
        self._first = first
        self._then = then
        self.info = replace(
            then.info,
            name=f"{first.info.name}, {then.info.name}",
            needs=_requirements(first.info.needs, then.info.needs),
            channels=max(first.info.channels, then.info.channels),
            keeps_tone=first.info.keeps_tone and then.info.keeps_tone,
            free_memory=min(first.info.free_memory, then.info.free_memory),
        )

    def run(self, tiles: FloatArray) -> FloatArray:
        """See `Engine.run`."""
        channels = tiles.shape[3]
        between = np.clip(adapt_channels(self._first, channels).run(tiles), 0, 1)
        return adapt_channels(self._then, channels).run(between)

    def fallback(self) -> Engine | None:
        """Both fall back; one that has no fallback left stays as it is while the other still has one."""
        first, then = self._first.fallback(), self._then.fallback()
        if first is None and then is None:
            return None
        return Chain(first or self._first, then or self._then)


def _requirements(first: TileRequirements, then: TileRequirements) -> TileRequirements:
    """What tiles have to meet for both: lengths of the second are divided by the scale of the first."""
    scale = first.scale
    return TileRequirements(
        scale=scale * then.scale,
        reach=first.reach + math.ceil(then.reach / scale),
        multiple=math.lcm(first.multiple, then.multiple // math.gcd(then.multiple, scale)),
        minimum=max(first.minimum, math.ceil(then.minimum / scale)),
        ramp=max(first.ramp, math.ceil(then.ramp / scale)),
        bytes_per_pixel=max(first.bytes_per_pixel, then.bytes_per_pixel * scale**2),
        fast_pixels=min(first.fast_pixels, then.fast_pixels / scale**2),
        batch_pixels=min(first.batch_pixels, then.batch_pixels // scale**2),
        divisible=first.divisible and then.divisible,
    )
