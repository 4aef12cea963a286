"""Engines made of other engines: a share of one, one after the other, one for tiles of other channels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..arrays import FloatArray
from ..tiling import TileRequirements
from .base import Engine
from .resample import REACH, ResampleEngine


class Blended:
    """An engine whose result is a share of another engine's, and for the rest the Lanczos filter's."""

    def __init__(self, engine: Engine, blend: float) -> None:
        """Takes `engine` and, as `blend`, its share of the result, 0..1."""
        self._engine = engine
        self._blend = blend
        self._filter = ResampleEngine(engine.info.needs.scale)
        needs = engine.info.needs
        self.info = replace(engine.info, needs=replace(needs, reach=max(needs.reach, REACH)))

    def run(self, tiles: FloatArray) -> FloatArray:
        """Computes tiles as `Engine.run` says."""
        plain = tiles if self.info.needs.scale == 1 else self._filter.run(tiles)
        result: FloatArray = plain + np.float32(self._blend) * (self._engine.run(tiles) - plain)
        return result

    def fallback(self) -> Engine | None:
        fallback = self._engine.fallback()
        return None if fallback is None else Blended(fallback, self._blend)


class Chain:
    """An engine that gives each tile to one engine after the other; nothing is rounded in between.

    Each engine widens the zone that a cut spoils, so the reach of the whole is the sum of their reaches.
    """

    def __init__(self, first: Engine, then: Engine) -> None:
        """Joins two engines, which may be chains themselves."""
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
        """Computes tiles as `Engine.run` says; values between the engines are clipped to 0..1."""
        channels = tiles.shape[3]
        between = np.clip(adapt_channels(self._first, channels).run(tiles), 0, 1)
        return adapt_channels(self._then, channels).run(between)

    def fallback(self) -> Engine | None:
        """Returns a chain of the fallbacks of both, in which an engine without one stays; None if neither has one."""
        first, then = self._first.fallback(), self._then.fallback()
        if first is None and then is None:
            return None
        return Chain(first or self._first, then or self._then)


def _requirements(first: TileRequirements, then: TileRequirements) -> TileRequirements:
    """Returns what both engines require of tiles: lengths of the second are divided by the scale of the first."""
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


def adapt_channels(engine: Engine, channels: int) -> Engine:
    """Returns an engine for tiles of 1 or 3 channels, whatever the given one takes."""
    if engine.info.channels == channels:
        return engine
    return _Adapted(engine)


def reduce_channels(pixels: FloatArray, channels: int) -> FloatArray:
    """Returns colour, (height, width, 3), as it is, or its mean as one channel if `channels` is 1."""
    if pixels.shape[2] == channels:
        return pixels
    result: FloatArray = pixels.mean(axis=2, keepdims=True)
    return result


class _Adapted:
    """Takes grey for a colour engine, and colour for a grey one.

    Grey is run as three equal channels, and the mean of three is the result, so that no tint appears; colour is run
    channel by channel.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.info = replace(engine.info, channels=1 if engine.info.channels == 3 else 3)

    def run(self, tiles: FloatArray) -> FloatArray:
        if self.info.channels == 1:
            result: FloatArray = self._engine.run(np.repeat(tiles, 3, axis=3)).mean(axis=3, keepdims=True)
            return result
        planes = [np.ascontiguousarray(tiles[..., channel : channel + 1]) for channel in range(3)]
        return np.concatenate([self._engine.run(plane) for plane in planes], axis=3)

    def fallback(self) -> Engine | None:
        fallback = self._engine.fallback()
        return None if fallback is None else _Adapted(fallback)
