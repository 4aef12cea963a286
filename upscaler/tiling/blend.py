"""Joins computed tiles into bands of finished rows.

Tiles come row by row. Across the ramp that two tiles share, the earlier one gives way to the later one:
earlier + w * (later - earlier). Where both agree the result is their value exactly, everywhere else tiles are copied;
no buffer of weights exists, and no more than one row of tiles is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import FloatArray
from .cut import Tile
from .plan import Axis, Plan
from .window import ramp


@dataclass(frozen=True, slots=True)
class Band:
    """Finished rows of the result: those from row `y` on, float32, (rows, full width, channels)."""

    y: int
    pixels: FloatArray


def blend(tiles: Iterable[Tile], plan: Plan) -> Iterator[Band]:
    """Computed tiles, in the order of `plan.regions()`, as bands from top to bottom that cover every row once.

    Bands may be views of the tiles; the tiles are not changed.
    """
    source = iter(tiles)
    window = ramp(plan.y.ramp * plan.scale)[:, None, None]
    carried: FloatArray | None = None
    for row in range(len(plan.y.starts)):
        pixels = _join_row(source, plan, row)
        y = plan.y.owned(row)[0] * plan.scale
        if carried is not None:
            yield from _inside(y, _mixed(carried, pixels[: len(carried)], window), plan)
            y += len(carried)
            pixels = pixels[len(carried) :]
        finished = len(pixels)
        if row < len(plan.y.starts) - 1:
            finished -= len(window)
        yield from _inside(y, pixels[:finished], plan)
        carried = pixels[finished:].copy()


def _inside(y: int, pixels: FloatArray, plan: Plan) -> Iterator[Band]:
    """The rows, from `y` on, that lie in the picture and not in its border; none perhaps."""
    first = max(-y, 0)
    part = pixels[first : max(plan.size.height * plan.scale - y, 0)]
    if len(part):
        yield Band(y + first, part)


def _join_row(source: Iterator[Tile], plan: Plan, row: int) -> FloatArray:
    """One row of tiles side by side: the rows it owns, at the width of the picture."""
    window = ramp(plan.x.ramp * plan.scale)[None, :, None]
    rows = _owned(plan.y, row, plan.scale)
    left = plan.x.starts[0]
    joined: FloatArray | None = None
    for column in range(len(plan.x.starts)):
        pixels = next(source).pixels[rows, _owned(plan.x, column, plan.scale)]
        if len(plan.x.starts) == 1:
            joined = pixels
            break
        if joined is None:
            width = (plan.x.starts[-1] + plan.x.tile - left) * plan.scale
            joined = np.empty((pixels.shape[0], width, pixels.shape[2]), np.float32)
        first, last = ((edge - left) * plan.scale for edge in plan.x.owned(column))
        if column > 0:
            shared = window.shape[1]
            both = joined[:, first : first + shared]
            both[:] = _mixed(both, pixels[:, :shared], window)
            first, pixels = first + shared, pixels[:, shared:]
        joined[:, first:last] = pixels
    assert joined is not None
    return joined[:, -left * plan.scale :][:, : plan.size.width * plan.scale]


def _mixed(earlier: FloatArray, later: FloatArray, weight: FloatArray) -> FloatArray:
    result: FloatArray = earlier + weight * (later - earlier)
    return result


def _owned(axis: Axis, index: int, scale: int) -> slice:
    """The part of computed tile `index` that it owns, in pixels of the result."""
    first, last = axis.owned(index)
    start = axis.starts[index]
    return slice((first - start) * scale, (last - start) * scale)
