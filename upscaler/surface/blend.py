"""Joins computed tiles into bands of finished rows.

Tiles come row by row. Across the ramp that two tiles share, the earlier one gives way to the later one:
earlier + w * (later - earlier), where w rises as a raised cosine. Where both agree the result is their value exactly,
everywhere else tiles are copied; no buffer of weights exists, and no more than one row of tiles is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..arrays import FloatArray, Pixels
from ..tiling import Axis, Band, Plan, Tile
from .base import surface_of

STRIP_ROWS = 64
"""Rows of the result that are joined at a time on the host: few enough to stay in the processor's cache until they have
become whole numbers."""


def blend(tiles: Iterable[Tile], plan: Plan) -> Iterator[Band]:
    """Joins computed tiles, in the order of `plan.regions()`, into bands from top to bottom that cover each row once.

    Bands lie where the tiles do. They may be views of them, in their precision; the tiles are not changed.
    """
    source = iter(tiles)
    shares = _ramp(plan.y, plan.scale)[:, None, None]
    carried: Pixels | None = None
    for row in range(len(plan.y.starts)):
        owned = _owned(plan.y, row, plan.scale)
        parts = [next(source).pixels[owned] for _ in plan.x.starts]
        surface = surface_of(parts[0])
        strip = max(surface.strip_values // (plan.size.width * plan.scale * parts[0].shape[2]), STRIP_ROWS)
        y = plan.y.owned(row)[0] * plan.scale
        shared = 0
        if carried is not None:
            shared = len(carried)
            yield from _inside(y, _mix(carried, _join(parts, slice(shared), plan), surface.bring(shares)), plan)
        finished = len(parts[0])
        if row < len(plan.y.starts) - 1:
            finished -= len(shares)
        for first in range(shared, finished, strip):
            rows = slice(first, min(first + strip, finished))
            yield from _inside(y + first, _join(parts, rows, plan), plan)
        carried = surface.copy(_join(parts, slice(finished, None), plan))
        del parts  # or two rows of tiles would be held while the next one fills


def _inside(y: int, pixels: Pixels, plan: Plan) -> Iterator[Band]:
    """Yields the rows, from `y` on, that lie in the picture and not in its border, if there are any."""
    first = max(-y, 0)
    part = pixels[first : max(plan.size.height * plan.scale - y, 0)]
    if len(part):
        yield Band(y + first, part)


def _join(tiles: list[Pixels], rows: slice, plan: Plan) -> Pixels:
    """Joins the same rows of the tiles of one row of the plan, side by side, at the width of the picture."""
    left = plan.x.starts[0]
    inside = slice(-left * plan.scale, (plan.size.width - left) * plan.scale)
    if len(tiles) == 1:
        return tiles[0][rows, inside]
    surface = surface_of(tiles[0])
    shares = surface.bring(_ramp(plan.x, plan.scale)[None, :, None])
    shared = shares.shape[1]
    height, _, channels = tiles[0][rows].shape
    joined = surface.empty((height, (plan.x.starts[-1] + plan.x.tile - left) * plan.scale, channels))
    for column, tile in enumerate(tiles):
        pixels = tile[rows, _owned(plan.x, column, plan.scale)]
        first, last = ((edge - left) * plan.scale for edge in plan.x.owned(column))
        if column > 0:
            both = joined[:, first : first + shared]
            both[:] = _mix(both, pixels[:, :shared], shares)
            first, pixels = first + shared, pixels[:, shared:]
        joined[:, first:last] = pixels
    return joined[:, inside]


def _ramp(axis: Axis, scale: int) -> FloatArray:
    """Returns the later tile's weights at the pixels of a ramp: float32, (pixels,), within 0..1, without a kink at its
    ends; the earlier tile has the rest."""
    length = axis.ramp * scale
    position = ((np.arange(length) + 0.5) / max(length, 1)).astype(np.float32)
    weights: FloatArray = (0.5 - 0.5 * np.cos(np.pi * position)).astype(np.float32)
    return weights


def _mix(earlier: Pixels, later: Pixels, share: Pixels) -> Pixels:
    return earlier + share * (later - earlier)


def _owned(axis: Axis, index: int, scale: int) -> slice:
    """Returns the part of computed tile `index` that it owns, in pixels of the result."""
    first, last = axis.owned(index)
    start = axis.starts[index]
    return slice((first - start) * scale, (last - start) * scale)
