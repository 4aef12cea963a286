"""Cuts a picture into the tiles of a plan, its borders extended by reflection."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..arrays import Pixels
from ..tiling import Batch, Plan, Region
from .upload import Upload


def cut(source: Upload, plan: Plan) -> Iterator[Batch]:
    """Yields the tiles of `plan`, in its order and batches; whole numbers become float32, 0..1."""
    regions = list(plan.regions())
    for first in range(0, len(regions), plan.batch):
        group = tuple(regions[first : first + plan.batch])
        yield Batch(group, source.surface.stack([_read(source, region) for region in group]))


def _read(source: Upload, region: Region) -> Pixels:
    height, width, _ = source.shape
    surface = source.surface
    if region.y >= 0 and region.y + region.height <= height:
        part = source.rows(region.y, region.y + region.height)
    else:
        indices = _mirror(region.y, region.height, height)
        top = int(indices.min())
        part = surface.take(source.rows(top, int(indices.max()) + 1), indices - top, 0)
    if region.x >= 0 and region.x + region.width <= width:
        part = part[:, region.x : region.x + region.width]
    else:
        part = surface.take(part, _mirror(region.x, region.width, width), 1)
    return surface.to_float(part)


def _mirror(start: int, count: int, length: int) -> NDArray[np.intp]:
    """Returns indices start..start+count, those outside 0..length reflected as often as needed, edges not doubled."""
    period = max(2 * (length - 1), 1)
    folded = np.abs(np.arange(start, start + count)) % period
    return np.minimum(folded, period - folded) if length > 1 else np.zeros(count, np.intp)
