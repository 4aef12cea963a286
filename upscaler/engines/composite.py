"""Engines made of other engines: a share of one, and one for tiles of other channels."""

from __future__ import annotations

from dataclasses import replace

from ..arrays import Pixels
from ..surface import surface_of
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

    def run(self, tiles: Pixels) -> Pixels:
        """Computes tiles as `Engine.run` says."""
        plain = tiles if self.info.needs.scale == 1 else self._filter.run(tiles)
        return plain + self._blend * (self._engine.run(tiles) - plain)

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        fallback = self._engine.fallback(elsewhere)
        return None if fallback is None else Blended(fallback, self._blend)


def adapt_channels(engine: Engine, channels: int) -> Engine:
    """Returns an engine for tiles of 1 or 3 channels, whatever the given one takes."""
    if engine.info.channels == channels:
        return engine
    return _Adapted(engine)


def reduce_channels(pixels: Pixels, channels: int) -> Pixels:
    """Returns colour, (height, width, 3), as it is, or its mean as one channel if `channels` is 1."""
    return pixels if pixels.shape[2] == channels else pixels.mean(axis=2, keepdims=True)


class _Adapted:
    """Takes grey for a colour engine, and colour for a grey one.

    Grey is run as three equal channels, and the mean of three is the result, so that no tint appears; colour is run
    channel by channel.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.info = replace(engine.info, channels=1 if engine.info.channels == 3 else 3)

    def run(self, tiles: Pixels) -> Pixels:
        surface = surface_of(tiles)
        if self.info.channels == 1:
            return self._engine.run(surface.concatenate([tiles] * 3, axis=3)).mean(axis=3, keepdims=True)
        planes = [surface.copy(tiles[..., channel : channel + 1]) for channel in range(3)]
        return surface.concatenate([self._engine.run(plane) for plane in planes], axis=3)

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        fallback = self._engine.fallback(elsewhere)
        return None if fallback is None else _Adapted(fallback)
