"""Antialiased resampling of float arrays, by Pillow's Lanczos filter (three lobes)."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from ..arrays import FloatArray
from ..tiling import Size

LOBES = 3


def support(source: int, target: int) -> int:
    """Returns how many source pixels to either side a result pixel depends on, when `source` pixels become `target`."""
    return math.ceil(LOBES * max(source / target, 1.0)) + 1


def resize(pixels: FloatArray, size: Size, box: tuple[float, float, float, float] | None = None) -> FloatArray:
    """Resizes (height, width, channels) to `size`; values may overshoot 0..1 a little beside edges.

    `box` is the part of the source to take: left, top, right, bottom in source pixels, fractions allowed.
    """
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(pixels[:, :, channel])).resize(
                (size.width, size.height), Image.Resampling.LANCZOS, box
            )
        )
        for channel in range(pixels.shape[2])
    ]
    return np.stack(planes, axis=2)
