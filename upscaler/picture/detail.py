"""Finds the most detailed parts of a picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import PixelArray, to_float
from ..tiling import Region, Size
from .canvas import strips

LOOKED_AT = 1024
"""Pixels of the longer side in which detail is looked for: in fewer than the picture has, noise counts for less."""


def find_details(pixels: PixelArray, size: Size, count: int) -> list[Region]:
    """Returns up to `count` parts of a picture (height, width, 1 or 3), of `size` or the picture's if that is smaller,
    the most detailed first, and none if there is no other place: they overlap by a third at most."""
    height, width = pixels.shape[:2]
    size = Size(min(size.width, width), min(size.height, height))
    factor = max(height, width) / LOOKED_AT if max(height, width) > LOOKED_AT else 1.0
    detail = _measure(pixels, Size(max(round(width / factor), 1), max(round(height / factor), 1)))
    rows, columns = (
        max(min(round(side / factor), most), 1)
        for side, most in zip((size.height, size.width), detail.shape, strict=True)
    )
    sums = np.pad(detail.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    scores = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    found: list[Region] = []
    while len(found) < count and scores.max() >= 0:
        y, x = np.unravel_index(int(scores.argmax()), scores.shape)
        top, left = min(round(int(y) * factor), height - size.height), min(round(int(x) * factor), width - size.width)
        found.append(Region(left, top, size.width, size.height))
        away, aside = 2 * rows // 3, 2 * columns // 3
        scores[max(y - away, 0) : y + away + 1, max(x - aside, 0) : x + aside + 1] = -math.inf
    return found


def _measure(pixels: PixelArray, size: Size) -> NDArray[np.float64]:
    """Returns how much detail there is around each pixel of the picture in that size: roots of gradients, so that much
    of it counts for more than one hard edge."""
    small = np.empty((size.height, size.width), np.float32)
    height = len(pixels)
    grey = np.empty(pixels.shape[:2], np.uint8)
    for strip in strips(height):
        grey[strip] = np.rint(255 * to_float(pixels[strip]).mean(2))
    cv2.resize(grey.astype(np.float32), (size.width, size.height), small, interpolation=cv2.INTER_AREA)
    across, down = (cv2.Sobel(small, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    return np.sqrt(np.hypot(across, down).astype(np.float64))
