"""Runs batches of tiles so that only right results come out: each is checked, a wrong one computed more carefully.

Out of memory halves the batch, then the tile (a tile too large is computed as a grid of smaller ones, which gives the
same pixels), and the engine remembers it; when the smallest tile is too large, the picture goes on on the CPU. A tile
that fails or looks wrong is computed alone, then by the engine's fallbacks. A tile that still fails ends its picture.
Every such step is logged as a warning.

On a GPU a batch is judged when the next one has been enqueued, so that the GPU never waits for a judgement.

Nothing is computed while an exception is handled, because its traceback keeps what the failed try had in memory.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..arrays import Pixels
from ..errors import DeviceLost, EngineError, OutOfMemory
from ..surface import HOST, Statistics, Upload, blend, cut, surface_for, surface_of
from ..tiling import Batch, Budget, Plan, Region, Size, Tile, plan
from .base import Engine, EngineInfo
from .verify import Fault, agree, fault

log = logging.getLogger("upscaler")

FALLBACK_AFTER = 3
"""After this many tiles that needed a fallback, the fallback computes all. After this many odd results that a second
computation confirmed, results need no longer resemble their sources."""


def run_checked(engine: Engine, batches: Iterable[Batch]) -> Iterator[Tile]:
    """Computes and checks every tile of every batch, and yields them in order. Results lie where the batches do.

    Raises EngineError, with the tile's place and what was tried; OutOfMemory when the smallest tile is still too large;
    DeviceLost.
    """
    runner = _Runner(engine)
    waiting: list[_Computed] = []
    for batch in batches:
        for computed in runner.compute(batch):
            waiting.append(computed)
            if len(waiting) > (0 if surface_of(batch.pixels) is HOST else 1):
                yield from runner.judge(waiting.pop(0))
    for computed in waiting:
        yield from runner.judge(computed)


@dataclass(frozen=True, slots=True)
class _Computed:
    """Tiles that were computed together and are not judged yet."""

    regions: tuple[Region, ...]
    sources: Pixels
    results: Pixels | None
    problem: Exception | None
    """The reason why there are no results."""
    previous: tuple[Pixels, Pixels] | None
    """The source and the result of the tile before."""
    statistics: Callable[[], list[Statistics]]
    """Waits for what was measured of each tile."""


class _Runner:
    """One run: the engine in use, which a fallback may replace, and counts of what went wrong."""

    def __init__(self, engine: Engine) -> None:
        self._first = self._engine = engine
        self._mended = 0
        self._odd = 0
        self._previous: tuple[Pixels, Pixels] | None = None

    def compute(self, batch: Batch) -> Iterator[_Computed]:
        """Computes the tiles of a batch, as many at a time as there is memory for."""
        size = batch.regions[0].size
        first = 0
        while first < len(batch.regions):
            limit = self._engine.info.limit.pixels
            regions = batch.regions[first : first + int(max(min(limit / size.pixels, len(batch.regions)), 1))]
            sources, previous = batch.pixels[first : first + len(regions)], self._previous
            results, statistics, problem = self._compute(self._engine, sources, previous)
            if isinstance(problem, OutOfMemory | MemoryError):
                self._engine = self._need_less(self._engine, size, len(regions), limit, problem)
                continue
            if results is not None:
                self._previous = sources[-1], results[-1]
            yield _Computed(regions, sources, results, problem, previous, statistics)
            first += len(regions)

    def judge(self, computed: _Computed) -> Iterator[Tile]:
        """Yields the tiles with their results; those that are wrong are computed more carefully."""
        surface = surface_of(computed.sources)
        with surface.errors():
            statistics = computed.statistics()
        results = [None] * len(computed.regions) if computed.results is None else computed.results
        before = computed.previous
        for index, (region, source, result) in enumerate(zip(computed.regions, computed.sources, results, strict=True)):
            known = None if result is None else statistics[index]
            found = self._fault(self._engine.info, known, computed.problem)
            right = result if found is None else self._mend(region, source, result, found, before)
            before = source, right
            yield Tile(region, right)

    def _compute(
        self, engine: Engine, tiles: Pixels, previous: tuple[Pixels, Pixels] | None
    ) -> tuple[Pixels | None, Callable[[], list[Statistics]], Exception | None]:
        """Returns results, which lie where the tiles do, and their statistics; or an exception.

        Computes in parts of tiles as small as the engine's memory needs them. The tiles were planned for the first
        engine. Others, which may be on another device, look at their own budget. Raises DeviceLost.
        """
        info = engine.info
        here = surface_of(tiles)
        size = Size(tiles.shape[2], tiles.shape[1])
        side = None
        if info.limit.pixels < size.pixels:
            side = max(math.isqrt(int(info.limit.pixels)), info.needs.smallest_tile())
        try:
            with here.errors(), surface_for(info.device).errors():
                parts: Plan | None = None
                if side is not None or engine is not self._first:
                    parts = plan(size, info.needs, Budget(info.tile_memory, tile=side, batch=1), border=0)
                if parts is None or parts.count == 1:
                    results = _run(engine, tiles)
                else:
                    results = here.stack([_compute_parts(engine, tile, parts) for tile in tiles])
                expected = (len(tiles), size.height * info.needs.scale, size.width * info.needs.scale, tiles.shape[3])
                if tuple(results.shape) != expected:
                    shapes = f"{tuple(results.shape[1:])} instead of {expected[1:]}"
                    return None, list, EngineError(f"its result has the shape {shapes}")
                return results, here.measure(tiles, results, previous), None
        except DeviceLost:
            raise
        except (OutOfMemory, MemoryError) as error:
            return None, list, error.with_traceback(None)  # its frames would keep what there is no room for
        except Exception as error:
            return None, list, error

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

    def _mend(
        self,
        region: Region,
        source: Pixels,
        result: Pixels | None,
        found: Fault | None,
        before: tuple[Pixels, Pixels] | None,
    ) -> Pixels:
        """Returns the result of a more careful computation of a tile whose result is wrong, or was not computed.

        `before`: the source and the result of the tile before.
        """
        assert found is not None
        place = f"the tile at {max(region.x, 0)},{max(region.y, 0)}"
        log.warning("%s is computed again: %s.", place, found.reason)
        doubtful = None if found.certain else result
        problem: Exception | None = None
        tried = []
        engine: Engine | None = self._engine
        while engine is not None:
            tried.append(f"{engine.info.precision} on {engine.info.device}")
            limit = engine.info.limit.pixels
            computed, statistics, problem = self._compute(engine, source[None], before)
            if isinstance(problem, OutOfMemory | MemoryError):
                engine = self._need_less(engine, region.size, 1, limit, problem)
                continue
            again = None if computed is None else computed[0]
            with surface_of(source).errors():
                known = None if computed is None else statistics()[0]
            found = self._fault(engine.info, known, problem)
            if found is None:
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

    def _fault(self, info: EngineInfo, statistics: Statistics | None, problem: Exception | None) -> Fault | None:
        if statistics is None:
            is_own = type(problem) is EngineError
            return Fault(str(problem) if is_own else f"{type(problem).__name__}: {problem}", True)
        found = fault(statistics, info.keeps_tone)
        if found is not None and not found.certain and self._odd >= FALLBACK_AFTER:
            return None
        return found


def _run(engine: Engine, tiles: Pixels) -> Pixels:
    """Computes tiles by an engine, which may be on another device; the results lie where the tiles do."""
    return surface_of(tiles).bring(engine.run(surface_for(engine.info.device).bring(tiles)))


def _compute_parts(engine: Engine, tile: Pixels, parts: Plan) -> Pixels:
    """Computes a tile as a grid of smaller ones: the same pixels in less memory."""
    results = (
        Tile(batch.regions[0], _run(engine, batch.pixels)[0]) for batch in cut(Upload(tile, surface_of(tile)), parts)
    )
    return surface_of(tile).concatenate([band.pixels for band in blend(results, parts)])
