"""Decides where the tiles of a picture lie, from sizes alone, without any pixels.

Tiles that share an edge overlap by reach + ramp + reach pixels: within `reach` of its own edge a tile is wrong and is
thrown away; across the `ramp` in the middle the two are blended.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..errors import PlanError
from .geometry import Region, Size

RAMP = 4
"""Source pixels over which neighbours are blended. Beyond the reach they agree to half a level."""

BORDER = 8
"""Source pixels by which the picture is extended by reflection, so that networks do not see the zeros they pad with."""

LARGEST_TILE = 4096
"""Source pixels a side; beyond it the share of overlap no longer matters."""

TILE_OVERHEAD = 400
"""The cost of starting one more tile, in source pixels computed (measured: 0.2 ms with the embedded network)."""

MUCH = 2**29
"""Bytes up to which a picture is always computed row by row, as it lies in memory."""

FINISHING = 20
"""Bytes for each value of a strip of results while it is joined, held to its source and rounded, in float32."""


@dataclass(frozen=True, slots=True)
class TileRequirements:
    """The demands of an engine on its tiles. Lengths are source pixels."""

    scale: int
    reach: int
    """Distance from a cut over which the result changes; see `TilingProfile.reach`."""
    multiple: int = 1
    """Width, height and position of a tile must be divisible by this."""
    minimum: int = 1
    """Smallest side of a tile."""
    ramp: int = RAMP
    bytes_per_pixel: float = 0.0
    """Working memory for each source pixel of a tile."""
    fixed_bytes: float = 0.0
    """Working memory beside that, whatever the size of a tile."""
    result_bytes: int = 4
    """Bytes of a value of the result."""
    strip_values: int = 0
    """Values of the result that are finished at a time, if that takes memory of the device that computes the tiles."""
    fast_pixels: float = math.inf
    """Larger tiles are slower for each pixel, because they do not fit into the processor's cache."""
    slowdown: float = 0.9
    """How much more time a pixel takes, as a share, each time that tiles get twice as large beyond that."""
    batch_pixels: int = 0
    """Tiles are run together up to so many source pixels."""
    most_pixels: float = math.inf
    """Most source pixels that may be run together, because the device's kernels fail on larger tensors."""
    can_be_tiled: bool = True
    """False if the engine must see the whole picture at once."""

    def smallest_tile(self, overlap: int | None = None) -> int:
        """Returns the smallest side of a tile that is not the only one, when neighbours share `overlap` pixels."""
        overlap = self.overlap() if overlap is None else overlap
        return _up(max(overlap + 2 * max(self.ramp, self.multiple), self.minimum), self.multiple)

    def overlap(self, wanted: int | None = None) -> int:
        """Returns how many pixels neighbours share, `wanted` if that is possible."""
        return _up(max(2 * self.reach + self.ramp if wanted is None else wanted, self.ramp), self.multiple)


@dataclass(frozen=True, slots=True)
class Budget:
    """The memory that a plan may use, and the numbers that the user has fixed."""

    memory: int
    """Bytes for a batch of tiles, for a row of results, and for finishing these."""
    tile: int | None = None
    """Largest side of a tile in source pixels."""
    batch: int | None = None
    """Tiles run together."""
    overlap: int | None = None
    """Source pixels shared by neighbours; takes the place of reach + ramp + reach."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The tiles along one direction. All numbers are source pixels; 0 is the first pixel of the picture."""

    length: int
    """Length of the picture."""
    tile: int
    """Length of every tile."""
    starts: tuple[int, ...]
    """Ascending; negative inside the reflected border."""
    ramp: int
    """Width of the blend between neighbours, at the middle of their overlap."""

    def owned(self, index: int) -> tuple[int, int]:
        """Returns the half-open range of source pixels that tile `index` contributes to, ramps and borders included."""
        first = self.starts[0] if index == 0 else self._ramp_start(index)
        if index == len(self.starts) - 1:
            return first, self.starts[-1] + self.tile
        return first, self._ramp_start(index + 1) + self.ramp

    def _ramp_start(self, index: int) -> int:
        overlap_end = self.starts[index - 1] + self.tile
        return (self.starts[index] + overlap_end - self.ramp) // 2


@dataclass(frozen=True, slots=True)
class Plan:
    """The grid of equal tiles over one picture, and how many are run together."""

    size: Size
    """Size of the picture."""
    scale: int
    x: Axis
    y: Axis
    batch: int
    memory: int
    """Bytes expected of what `Budget.memory` is for."""
    max_batch: int = 1
    """Most tiles in one batch, even across pictures."""
    by_columns: bool = False
    """Whether tiles are computed column by column, and joined into columns of the result."""

    @property
    def tile(self) -> Size:
        return Size(self.x.tile, self.y.tile)

    @property
    def count(self) -> int:
        return len(self.x.starts) * len(self.y.starts)

    @property
    def computed(self) -> float:
        """The pixels of all tiles for each pixel of the picture: 1.1 if a tenth is computed twice."""
        return self.count * self.tile.pixels / self.size.pixels

    def transpose(self) -> Plan:
        """Returns the same plan for the picture whose rows are this one's columns."""
        return replace(self, size=self.size.transpose(), x=self.y, y=self.x, by_columns=not self.by_columns)

    def regions(self) -> Iterator[Region]:
        """Yields regions row by row, each row from left to right: the order in which `blend` takes the tiles."""
        for y in self.y.starts:
            for x in self.x.starts:
                yield Region(x, y, self.x.tile, self.y.tile)


def plan(size: Size, needs: TileRequirements, budget: Budget, border: int = BORDER) -> Plan:
    """Plans the cheapest grid within the budget: few pixels are computed twice, and tiles are no larger than is fast.

    Raises PlanError when `budget.tile` is too small for the overlap, or the engine cannot work in tiles at all.
    """
    overlap = needs.overlap(budget.overlap)
    smallest = needs.smallest_tile(overlap)
    columns = _choices(size.width, border, overlap, smallest, needs, budget)
    rows = _choices(size.height, border, overlap, smallest, needs, budget)
    values = needs.scale**2 * 3
    result = values * needs.result_bytes
    finishing = min(size.pixels * values, needs.strip_values) * FINISHING

    def memory(x: Axis, y: Axis, batch: int) -> int:
        pixels = x.tile * y.tile
        results = (batch + len(x.starts)) * pixels * result
        return round(max(pixels * batch * needs.bytes_per_pixel + needs.fixed_bytes, finishing) + results)

    def cost(x: Axis, y: Axis) -> tuple[bool, float]:
        pixels = x.tile * y.tile
        slowdown = 1.0
        if pixels > needs.fast_pixels:
            slowdown = min(1.0 + needs.slowdown * math.log2(pixels / needs.fast_pixels), 3.0)
        too_large = memory(x, y, 1) > budget.memory or pixels > needs.most_pixels
        tiles = len(x.starts) * len(y.starts)
        return too_large, memory(x, y, 1) if too_large else tiles * (pixels * slowdown + TILE_OVERHEAD)

    x, y = min(((x, y) for x in columns for y in rows), key=lambda pair: cost(*pair))
    pixels = x.tile * y.tile
    max_batch = int(max(1, min(budget.batch or needs.batch_pixels // pixels, needs.most_pixels // pixels)))
    while budget.batch is None and max_batch > 1 and memory(x, y, max_batch) > budget.memory:
        max_batch //= 2
    batch = min(max_batch, len(x.starts) * len(y.starts))
    return Plan(size, needs.scale, x, y, batch, memory(x, y, batch), max_batch)


def plan_either_way(size: Size, needs: TileRequirements, budget: Budget) -> Plan:
    """Plans as `plan` does; by columns if rows of a wide picture take much memory, and columns less than half of it.
    Raises PlanError as `plan` does."""
    by_rows = plan(size, needs, budget)
    if size.width <= size.height or by_rows.memory <= MUCH:
        return by_rows
    by_columns = plan(size.transpose(), needs, budget).transpose()
    return by_columns if 2 * by_columns.memory < by_rows.memory else by_rows


def _choices(
    length: int, border: int, overlap: int, smallest: int, needs: TileRequirements, budget: Budget
) -> list[Axis]:
    """Lists every way to cover one direction that is worth comparing: one tile, and grids of ever smaller ones."""
    covered = max(_up(length + 2 * border, needs.multiple), _up(needs.minimum, needs.multiple))
    whole = Axis(length, covered, (-border,), 0)
    if not needs.can_be_tiled:
        if budget.tile is not None and budget.tile < length:
            message = "this model must see the whole picture, so it takes no `tile`. Leave that out."
            raise PlanError(message, argument="tile", value=budget.tile)
        return [whole]
    largest = LARGEST_TILE
    if budget.tile is not None:
        if budget.tile < smallest and covered > budget.tile:
            raise PlanError(
                f"too small for this model, whose tiles overlap by {overlap} pixels. Use {smallest} or more.",
                argument="tile",
                value=budget.tile,
            )
        largest = budget.tile // needs.multiple * needs.multiple
    axes = [whole] if covered <= largest else []
    is_fixed = budget.tile is not None and largest**2 <= needs.most_pixels
    sides = [largest] if is_fixed else _ladder(smallest, min(largest, covered), needs.multiple)
    for wanted in sides:
        count = math.ceil((covered - overlap) / (wanted - overlap))
        if count < 2:
            continue
        tile = _up(max(math.ceil((covered + (count - 1) * overlap) / count), needs.minimum), needs.multiple)
        step = (covered - tile) / (count - 1)
        starts = tuple(int(i * step / needs.multiple + 1e-9) * needs.multiple - border for i in range(count - 1))
        axis = Axis(length, tile, (*starts, covered - tile - border), needs.ramp)
        if axis not in axes:
            axes.append(axis)
    return axes


def _ladder(smallest: int, largest: int, multiple: int) -> list[int]:
    """Lists tile sides to try, from the smallest to the largest, finely at first and then in steps of about 6 %."""
    sides = [smallest]
    while sides[-1] < largest:
        sides.append(min(_up(max(sides[-1] + 16, round(sides[-1] * 1.06)), multiple), largest))
    return sides


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
