"""Runs batches of tiles so that only right results come out: each is checked, a wrong one computed more carefully.

Out of memory halves the batch, then the tile (a tile too large is computed as a grid of smaller ones, which gives the
same pixels). A tile that fails or looks wrong is computed alone, then by the engine's fallbacks. A tile that still
fails ends the job. Every such step is logged as a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import numpy as np

from ..arrays import FloatArray
from ..errors import EngineError, OutOfMemory, PlanError
from ..tiling import Batch, Budget, Region, Size, Tile, blend, cut, plan
from .base import Engine, EngineInfo
from .verify import Fault, agree, fault, is_stale

log = logging.getLogger("upscaler")

FALLBACK_AFTER = 3
"""After this many tiles that needed a fallback, the fallback computes all. After this many odd results that a second
computation confirmed, results need no longer resemble their sources."""


def run(engine: Engine, batches: Iterable[Batch]) -> Iterator[Tile]:
    """Computes and checks every tile of every batch, and yields them in order.

    Raises EngineError, with the tile's place and what was tried; OutOfMemory when the smallest tile is still too large.
    """
    runner = _Runner(engine)
    for batch in batches:
        yield from runner.tiles(batch)


class _Runner:
    """One run: the engine in use, which a fallback may replace, and counts of what went wrong."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limit: int | None = None
        self._mended = 0
        self._odd = 0
        self._previous: tuple[FloatArray, FloatArray] | None = None

    def tiles(self, batch: Batch) -> Iterator[Tile]:
        first = 0
        while first < len(batch.regions):
            part = slice(first, first + (self._limit or len(batch.regions)))
            results: Iterable[FloatArray | None]
            problem: Exception | None = None
            try:
                results = self._engine.run(batch.pixels[part])
            except (OutOfMemory, MemoryError) as error:
                self._shrink(len(batch.regions[part]), batch.regions[0].size, error)
                continue
            except Exception as error:
                results, problem = [None] * len(batch.regions[part]), error
            for region, source, result in zip(batch.regions[part], batch.pixels[part], results, strict=True):
                right = self._check(region, source, result, problem)
                self._previous = source, right
                yield Tile(region, right)
            first = part.stop

    def _shrink(self, together: int, tile: Size, error: Exception) -> None:
        """Changes the engine after running out of memory: to fewer tiles at once, smaller ones, then another device."""
        device = self._engine.info.device
        if together > 1:
            self._limit = together // 2
            log.warning("out of memory on %s: %d tiles at a time from here on.", device, self._limit)
            return
        whole = self._engine.whole if isinstance(self._engine, Subdivided) else self._engine
        side = (self._engine.side if isinstance(self._engine, Subdivided) else max(tile.width, tile.height)) // 2
        try:
            self._engine = Subdivided(whole, side, tile)
            log.warning("out of memory on %s: tiles of %d pixels from here on.", device, side)
        except PlanError:
            fallback = whole.fallback()
            while fallback is not None and fallback.info.device == device:
                fallback = fallback.fallback()
            if fallback is None:
                raise OutOfMemory(
                    f"out of memory on {device}, even with tiles of {side * 2} pixels. "
                    "Close other programs, or choose a smaller model."
                ) from error
            place = fallback.info.device
            log.warning("out of memory on %s, even with tiles of %d pixels: going on on %s.", device, side * 2, place)
            self._engine = fallback

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
            again: FloatArray | None = None
            problem = None
            try:
                again = engine.run(source[None])[0]
            except Exception as error:
                problem = error
            found = self._fault(engine.info, source, again, problem)
            if found is None:
                assert again is not None
                if engine is not self._engine:
                    self._mended += 1
                    if self._mended == FALLBACK_AFTER:
                        log.warning("going on in %s on %s.", engine.info.precision, engine.info.device)
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


class Subdivided:
    """An engine that computes each tile as a grid of smaller ones: the same pixels in less memory."""

    def __init__(self, whole: Engine, side: int, tile: Size) -> None:
        """Plans the smaller tiles. Raises PlanError when tiles of `side` pixels are too small for the engine."""
        self.whole = whole
        self.side = side
        self.info = whole.info
        self._tile = tile
        self._plan = plan(tile, whole.info.needs, Budget(whole.info.free_memory, tile=side, batch=1), border=0)

    def run(self, tiles: FloatArray) -> FloatArray:
        return np.stack([self._run(tile) for tile in tiles])

    def fallback(self) -> Engine | None:
        fallback = self.whole.fallback()
        return None if fallback is None else Subdivided(fallback, self.side, self._tile)

    def _run(self, tile: FloatArray) -> FloatArray:
        parts = (Tile(batch.regions[0], self.whole.run(batch.pixels)[0]) for batch in cut(tile, self._plan))
        return np.concatenate([band.pixels for band in blend(parts, self._plan)])
