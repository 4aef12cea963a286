"""Runs batches of tiles so that only right results come out: each is checked, a wrong one computed more carefully.

Out of memory halves the batch, then the tile (a tile too large is computed as a grid of smaller ones, which gives the
same pixels), and the engine remembers it; when the smallest tile is too large, the picture goes on on the CPU. A tile
that fails or looks wrong is computed alone, then by the engine's fallbacks. A tile that still fails ends its picture.
Every such step is logged as a warning.

Nothing is computed while an exception is handled, because its traceback keeps what the failed try had in memory.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator

import numpy as np

from ..arrays import FloatArray
from ..errors import DeviceLost, EngineError, OutOfMemory
from ..tiling import Batch, Budget, Plan, Region, Size, Tile, blend, cut, plan
from .base import Engine, EngineInfo
from .verify import Fault, agree, fault, is_stale

log = logging.getLogger("upscaler")

FALLBACK_AFTER = 3
"""After this many tiles that needed a fallback, the fallback computes all. After this many odd results that a second
computation confirmed, results need no longer resemble their sources."""


def run_checked(engine: Engine, batches: Iterable[Batch]) -> Iterator[Tile]:
    """Computes and checks every tile of every batch, and yields them in order.

    Raises EngineError, with the tile's place and what was tried; OutOfMemory when the smallest tile is still too large;
    DeviceLost.
    """
    runner = _Runner(engine)
    for batch in batches:
        yield from runner.tiles(batch)


class _Runner:
    """One run: the engine in use, which a fallback may replace, and counts of what went wrong."""

    def __init__(self, engine: Engine) -> None:
        self._first = self._engine = engine
        self._mended = 0
        self._odd = 0
        self._previous: tuple[FloatArray, FloatArray] | None = None

    def tiles(self, batch: Batch) -> Iterator[Tile]:
        size = batch.regions[0].size
        first = 0
        while first < len(batch.regions):
            limit = self._engine.info.limit.pixels
            regions = batch.regions[first : first + int(max(min(limit / size.pixels, len(batch.regions)), 1))]
            sources = batch.pixels[first : first + len(regions)]
            computed, problem = self._compute(self._engine, sources)
            if isinstance(problem, OutOfMemory | MemoryError):
                self._engine = self._need_less(self._engine, size, len(regions), limit, problem)
                continue
            results = [None] * len(regions) if computed is None else computed
            for region, source, result in zip(regions, sources, results, strict=True):
                right = self._check(region, source, result, problem)
                self._previous = source, right
                yield Tile(region, right)
            first += len(regions)

    def _compute(self, engine: Engine, tiles: FloatArray) -> tuple[FloatArray | None, Exception | None]:
        """Returns results or an exception; in parts of tiles as small as the engine's memory needs them.

        The tiles were planned for the first engine. Others, which may be on another device, look at their own budget.
        Raises DeviceLost.
        """
        info = engine.info
        size = Size(tiles.shape[2], tiles.shape[1])
        side = None
        if info.limit.pixels < size.pixels:
            side = max(math.isqrt(int(info.limit.pixels)), info.needs.smallest_tile())
        try:
            if side is None and engine is self._first:
                return engine.run(tiles), None
            parts = plan(size, info.needs, Budget(info.tile_memory, tile=side, batch=1), border=0)
            if parts.count == 1:
                return engine.run(tiles), None
            return np.stack([_compute_parts(engine, tile, parts) for tile in tiles]), None
        except DeviceLost:
            raise
        except Exception as error:
            return None, error

    def _need_less(self, engine: Engine, tile: Size, together: int, limit: float, error: Exception) -> Engine:
        """Returns what to go on with when `engine` has run out of memory with so many tiles, under that limit of
        pixels: the same engine with a lower limit, or one that computes elsewhere. Raises OutOfMemory."""
        info = engine.info
        if together > 1:
            info.limit.lower(tile.pixels * (together // 2))
            log.warning("out of memory on %s: %d tiles at a time from here on.", info.device, together // 2)
            return engine
        side, smallest = math.isqrt(int(min(limit, tile.pixels))), info.needs.smallest_tile()
        if side > smallest and info.needs.can_be_tiled:
            info.limit.lower(max(side // 2, smallest) ** 2)
            log.warning("out of memory on %s: tiles of %d pixels from here on.", info.device, max(side // 2, smallest))
            return engine
        fallback = engine.fallback(elsewhere=True)
        if fallback is None:
            raise OutOfMemory(
                f"out of memory on {info.device}, even with tiles of {side} pixels. "
                "Close other programs, or choose a smaller model."
            ) from error
        place = fallback.info.device
        log.warning("out of memory on %s, even with tiles of %d pixels: using %s instead.", info.device, side, place)
        return fallback

    def _check(
        self, region: Region, source: FloatArray, result: FloatArray | None, problem: Exception | None
    ) -> FloatArray:
        """Returns the result if nothing is wrong with it, and else that of a more careful computation."""
        found = self._fault(self._engine.info, source, result, problem)
        if found is None:
            assert result is not None
            return result
        place = f"the tile at {max(region.x, 0)},{max(region.y, 0)}"
        log.warning("%s is computed again: %s.", place, found.reason)
        doubtful = None if found.certain else result
        tried = []
        engine: Engine | None = self._engine
        while engine is not None:
            tried.append(f"{engine.info.precision} on {engine.info.device}")
            limit = engine.info.limit.pixels
            computed, problem = self._compute(engine, source[None])
            if isinstance(problem, OutOfMemory | MemoryError):
                engine = self._need_less(engine, region.size, 1, limit, problem)
                continue
            again: FloatArray | None = None if computed is None else computed[0]
            found = self._fault(engine.info, source, again, problem)
            if found is None:
                assert again is not None
                if engine is not self._engine:
                    self._mended += 1
                    if self._mended == FALLBACK_AFTER:
                        log.warning("using %s on %s from here on.", engine.info.precision, engine.info.device)
                        self._engine = engine
                return again
            fallback = engine.fallback()
            if again is not None and not found.certain:
                another_way = engine is not self._engine or fallback is None
                if another_way and doubtful is not None and agree(doubtful, again):  # this is what the network does
                    self._odd += 1
                    if self._odd == FALLBACK_AFTER:
                        log.warning("this model's results do not resemble their sources: no longer checked for that.")
                    return again
                doubtful = again
            engine = fallback
        raise EngineError(f"{place} cannot be computed: {found.reason}. Tried {', '.join(tried)}.") from problem

    def _fault(
        self, info: EngineInfo, source: FloatArray, result: FloatArray | None, problem: Exception | None
    ) -> Fault | None:
        if result is None:
            return Fault(f"{type(problem).__name__}: {problem}", True)
        if is_stale(source, result, self._previous):
            return Fault("its result is the one of the tile before", True)
        found = fault(source, result, info.needs.scale, info.keeps_tone)
        if found is not None and not found.certain and self._odd >= FALLBACK_AFTER:
            return None
        return found


def _compute_parts(engine: Engine, tile: FloatArray, parts: Plan) -> FloatArray:
    """Computes a tile as a grid of smaller ones: the same pixels in less memory."""
    results = (Tile(batch.regions[0], engine.run(batch.pixels)[0]) for batch in cut(tile, parts))
    return np.concatenate([band.pixels for band in blend(results, parts)])
