"""Canvases that are computed from top to bottom and never exist as a whole: rows are kept as long as needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

import torch

from ..errors import OutOfMemory
from ..tiling import Region, Size
from .coders import Part
from .windows import Grid, axis_weights

Rows: TypeAlias = Callable[[int, int], torch.Tensor]
"""Gives the rows first..last-1 of a canvas, (1, channels, rows, width). Ranges are asked for in ascending order."""

Run: TypeAlias = Callable[[Part, torch.Tensor], torch.Tensor]
"""Computes a part of a network. Raises OutOfMemory."""

SMALLEST = 8
"""Cells of a side below which a tile is not halved to save memory, because most of it is halo."""


def rows_of_tensor(canvas: torch.Tensor) -> Rows:
    """The rows of a canvas that exists as a tensor."""
    return lambda first, last: canvas[..., first:last, :]


class Stream:
    """The rows of a canvas that comes in pieces from the top; rows above the last range asked for are dropped."""

    def __init__(self, pieces: Iterator[torch.Tensor]) -> None:
        self._pieces = pieces
        self._rows = next(pieces)
        self._top = 0

    def __call__(self, first: int, last: int) -> torch.Tensor:
        """See `Rows`."""
        self._rows = self._rows[..., first - self._top :, :]
        self._top = first
        while self._rows.shape[-2] < last - first:
            self._rows = torch.cat([self._rows, next(self._pieces)], -2)
        return self._rows[..., : last - first, :]


def in_tiles(rows: Rows, size: Size, part: Part, tile: int, run: Run) -> Iterator[torch.Tensor]:
    """The part's result on a canvas, as rows that cover it once. Tiles are computed with a halo, which is cut off.

    The canvas's sides and `tile` are multiples of `part.down`. A tile that does not fit into memory is halved.
    """
    for y in range(0, size.height, tile):
        height, top = min(tile, size.height - y), max(y - part.halo, 0)
        strip = rows(top, min(y + height + part.halo, size.height))
        regions = [Region(x, y - top, min(tile, size.width - x), height) for x in range(0, size.width, tile)]
        yield torch.cat([_tile(strip, region, part, run) for region in regions], -1)


def in_windows(rows: Rows, windows: Grid, part: Part, run: Run) -> Iterator[torch.Tensor]:
    """The part's result in overlapping windows of a canvas, joined by their weights, as rows that cover it once."""
    carried: torch.Tensor | None = None
    starts, columns = windows.y.starts, axis_weights(windows.x)
    for index, weights in enumerate(axis_weights(windows.y)):
        strip = rows(starts[index], starts[index] + windows.y.window)
        total = torch.zeros(0)
        for x, column in zip(windows.x.starts, columns, strict=True):
            result = run(part, strip[..., x : x + windows.x.window])
            if x == 0:
                total = torch.zeros(*result.shape[:-1], windows.x.length)
            total[..., x : x + windows.x.window] += result.float() * (weights[:, None] * column)
        if carried is not None:
            total[..., : carried.shape[-2], :] += carried
        finished = (*starts[1:], windows.y.length)[index] - starts[index]
        yield total[..., :finished, :].to(strip.dtype)
        carried = total[..., finished:, :]


def _tile(strip: torch.Tensor, region: Region, part: Part, run: Run) -> torch.Tensor:
    """The result for a region of a strip, computed with a halo as far as there are rows and columns."""
    halo = part.halo
    x, y = max(region.x - halo, 0), max(region.y - halo, 0)
    tile = strip[..., y : region.y + region.height + halo, x : region.x + region.width + halo]
    try:
        result = run(part, tile)
    except OutOfMemory:
        if max(region.width, region.height) < 2 * max(SMALLEST, part.down):
            raise
        along = -1 if region.width > region.height else -2
        return torch.cat([_tile(strip, half, part, run) for half in _halves(region, part.down, along)], along)
    own = replace(region, x=region.x - x, y=region.y - y)
    x, y, width, height = (side * part.up // part.down for side in (own.x, own.y, own.width, own.height))
    return result[..., y : y + height, x : x + width]


def _halves(region: Region, multiple: int, along: int) -> tuple[Region, Region]:
    """The region cut in two at a multiple, along the last dimension or the last but one."""
    length = region.width if along == -1 else region.height
    half = -(-length // (2 * multiple)) * multiple
    if along == -1:
        return replace(region, width=half), replace(region, x=region.x + half, width=length - half)
    return replace(region, height=half), replace(region, y=region.y + half, height=length - half)
