"""Cuts a picture into the tiles of a plan, its borders extended by reflection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, PixelArray, to_float
from .geometry import Region
from .plan import Plan


@dataclass(frozen=True, slots=True)
class Tile:
    """A computed tile."""

    region: Region
    """Its region in source pixels."""
    pixels: FloatArray
    """Its enlarged pixels: float32, 0..1, (height, width, channels)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Tiles that are run together: float32, 0..1, (tiles, height, width, channels)."""

    regions: tuple[Region, ...]
    pixels: FloatArray


def cut(pixels: PixelArray | FloatArray, plan: Plan) -> Iterator[Batch]:
    """Yields the tiles of `plan`, in its order and batches; integer pixels become float32, 0..1."""
    regions = list(plan.regions())
    for first in range(0, len(regions), plan.batch):
        group = tuple(regions[first : first + plan.batch])
        yield Batch(group, np.stack([_read(pixels, region) for region in group]))


def _read(pixels: PixelArray | FloatArray, region: Region) -> FloatArray:
    height, width = pixels.shape[:2]
    inside_x = region.x >= 0 and region.x + region.width <= width
    inside_y = region.y >= 0 and region.y + region.height <= height
    part: Any = pixels[
        slice(region.y, region.y + region.height) if inside_y else _mirror(region.y, region.height, height)
    ]
    part = part[:, slice(region.x, region.x + region.width) if inside_x else _mirror(region.x, region.width, width)]
    result: FloatArray = part if part.dtype == np.float32 else to_float(part)
    return result


def _mirror(start: int, count: int, length: int) -> NDArray[np.intp]:
    """Returns indices start..start+count, those outside 0..length reflected as often as needed, edges not doubled."""
    period = max(2 * (length - 1), 1)
    folded = np.abs(np.arange(start, start + count)) % period
    return np.minimum(folded, period - folded) if length > 1 else np.zeros(count, np.intp)
