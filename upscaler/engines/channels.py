"""Lets every engine take grey tiles as well as colour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import FloatArray
from .base import Engine


def adapt_channels(engine: Engine, channels: int) -> Engine:
    """Returns an engine for tiles of 1 or 3 channels, whatever the given one takes."""
    if engine.info.channels == channels:
        return engine
    return _Grey(engine) if channels == 1 else _ChannelByChannel(engine)


def reduce_channels(pixels: FloatArray, channels: int) -> FloatArray:
    """Returns colour, (height, width, 3), as it is, or its mean as one channel if `channels` is 1."""
    if pixels.shape[2] == channels:
        return pixels
    result: FloatArray = pixels.mean(axis=2, keepdims=True)
    return result


class _Grey:
    """Runs grey through a colour network: three equal channels in, the mean of three out, so that no tint appears."""

    def __init__(self, colour: Engine) -> None:
        self._colour = colour
        self.info = replace(colour.info, channels=1)

    def run(self, tiles: FloatArray) -> FloatArray:
        result: FloatArray = self._colour.run(np.repeat(tiles, 3, axis=3)).mean(axis=3, keepdims=True)
        return result

    def fallback(self) -> Engine | None:
        fallback = self._colour.fallback()
        return None if fallback is None else _Grey(fallback)


class _ChannelByChannel:
    """Runs colour through a grey network: each channel as a tile of its own."""

    def __init__(self, grey: Engine) -> None:
        self._grey = grey
        self.info = replace(grey.info, channels=3)

    def run(self, tiles: FloatArray) -> FloatArray:
        planes = [np.ascontiguousarray(tiles[..., channel : channel + 1]) for channel in range(3)]
        return np.concatenate([self._grey.run(plane) for plane in planes], axis=3)

    def fallback(self) -> Engine | None:
        fallback = self._grey.fallback()
        return None if fallback is None else _ChannelByChannel(fallback)
