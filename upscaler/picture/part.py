"""Takes a part of a picture's pixels, which may reach beyond the picture where that is repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..arrays import PixelArray
from ..tiling import Region
from .canvas import allocate, strips


def take_part(pixels: PixelArray, region: Region, workspace: Path | None = None) -> PixelArray:
    """Returns a part of pixels (height, width, channels): a view, or a copy if it reaches beyond them, where they are
    repeated on all sides."""
    height, width, channels = pixels.shape
    right, bottom = region.x + region.width, region.y + region.height
    if min(region.x, region.y) >= 0 and right <= width and bottom <= height:
        return pixels[region.y : bottom, region.x : right]
    part = allocate((region.height, region.width, channels), pixels.dtype, workspace)
    rows, columns = np.arange(region.y, bottom) % height, np.arange(region.x, right) % width
    for strip in strips(region.height):
        part[strip] = pixels[rows[strip]][:, columns]
    return part
