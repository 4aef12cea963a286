"""Engines that go wrong on purpose, around one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from upscaler.arrays import FloatArray
from upscaler.engines import Engine, EngineInfo, run_checked
from upscaler.engines.base import MemoryLimit
from upscaler.errors import OutOfMemory
from upscaler.surface import HOST, Surface, Upload, blend, cut, surface_for
from upscaler.tiling import Budget, Plan, Size, plan

SURFACE: Surface | None = None
"""The surface on which `enlarged` keeps results; None is that of the engine's device."""


class Faulty:
    """Spoils the result of one tile, known by its source: the first `times` times it is computed."""

    def __init__(self, good: Engine, source: FloatArray, fault: str, times: float, fallback: Engine | None) -> None:
        self.info: EngineInfo = good.info
        self._good = good
        self._source = source
        self._fault = fault
        self._times = times
        self._safer = fallback
        self._before: FloatArray | None = None

    def run(self, tiles: FloatArray) -> FloatArray:
        results = self._good.run(tiles)
        for index, tile in enumerate(tiles):
            if np.array_equal(tile, self._source) and self._times > 0:
                self._times -= 1
                results[index] = self._spoilt(results[index])
            else:
                self._before = results[index].copy()
        return results

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        return self._safer

    def _spoilt(self, result: FloatArray) -> FloatArray:
        if self._fault == "exception":
            raise RuntimeError("device lost")
        if self._fault == "nan":
            return result * np.nan
        if self._fault == "one nan":
            result[3, 5, 0] = np.nan
            return result
        if self._fault == "stale" and self._before is not None:
            return self._before
        if self._fault == "shuffled":
            return np.ascontiguousarray(result[::-1, ::-1])
        return np.zeros_like(result)


class SmallMemory:
    """Runs out of memory above so many source pixels at once."""

    def __init__(self, good: Engine, pixels: int, fallback: Engine | None = None) -> None:
        self.info = replace(good.info, limit=MemoryLimit())
        self.largest = 0
        self._good = good
        self._pixels = pixels
        self._safer = fallback

    def run(self, tiles: FloatArray) -> FloatArray:
        pixels = tiles.shape[0] * tiles.shape[1] * tiles.shape[2]
        if pixels > self._pixels:
            raise OutOfMemory("tried to allocate too much")
        self.largest = max(self.largest, pixels)
        return self._good.run(tiles)

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        return self._safer


class Elsewhere:
    """The same engine, as if on another device."""

    def __init__(self, good: Engine, device: str = "other") -> None:
        self.info = replace(good.info, device=device)
        self.run = good.run

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        return None


def enlarged(engine: Engine, pixels: FloatArray, grid: Plan, surface: Surface | None = None) -> FloatArray:
    """A whole picture through an engine, on the surface of its device unless another one is given."""
    source = Upload(pixels, surface or SURFACE or surface_for(engine.info.device))
    return np.concatenate([HOST.bring(band.pixels) for band in blend(run_checked(engine, cut(source, grid)), grid)])


def grid_for(pixels: FloatArray, engine: Engine, tile: int, batch: int = 1) -> Plan:
    size = Size(pixels.shape[1], pixels.shape[0])
    return plan(size, engine.info.needs, Budget(2**31, tile=tile, batch=batch))


def tiles_of(pixels: FloatArray, grid: Plan) -> Iterator[FloatArray]:
    for batch in cut(Upload(pixels), grid):
        yield from batch.pixels
