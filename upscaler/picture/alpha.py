"""Transparency: fills the colour of transparent pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..arrays import FloatArray, PixelArray, to_float
from .canvas import allocate

SPREADS = (3, 7, 15, 31, 63)
"""Widths in pixels of the averages that fill transparent places, the nearest colours first."""

HALO = SPREADS[-1] // 2 + 1
STRIP_ROWS = 512


def bleed(colour: PixelArray, alpha: PixelArray, workspace: Path | None = None) -> PixelArray:
    """Fills fully transparent pixels with the colour of the nearest visible ones.

    Files hold any colour there, mostly black, and a network would draw it into the visible edge. `colour` is (height,
    width, 1 or 3), `alpha` (height, width, 1); farther than HALO pixels from anything visible, colours stay.
    """
    if alpha.all():
        return colour
    filled = allocate(colour.shape, colour.dtype, workspace)
    height = colour.shape[0]
    for y in range(0, height, STRIP_ROWS):
        first, last = max(y - HALO, 0), min(y + STRIP_ROWS + HALO, height)
        part = _bleed(to_float(colour[first:last]), to_float(alpha[first:last]))
        part = part[y - first : y - first + STRIP_ROWS]
        filled[y : y + STRIP_ROWS] = np.rint(part * np.iinfo(colour.dtype).max)
    return filled


def _bleed(colour: FloatArray, alpha: FloatArray) -> FloatArray:
    unknown = alpha[:, :, 0] == 0
    filled = colour.copy()
    for spread in SPREADS:
        if not unknown.any():
            break
        size = (spread, spread)
        weight = cv2.blur(alpha, size)
        mean = cv2.blur(colour * alpha, size).reshape(colour.shape)
        near = unknown & (weight > 1e-4)
        filled[near] = mean[near] / weight[near][:, None]
        unknown &= ~near
    return filled
