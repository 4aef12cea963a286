"""Transparency: fills the colour of transparent pixels, and keeps an enlarged alpha channel free of halos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from ..arrays import FloatArray, PixelArray, to_float
from ..tiling import Band
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


def within_source(bands: Iterable[Band], alpha: PixelArray, scale: int) -> Iterator[Band]:
    """Yields the bands of an enlarged alpha channel, each pixel kept between the least and the greatest source value
    around it, so that opaque areas stay opaque and empty ones empty. Pixels are float32, 0..1."""
    around = np.ones((3, 3), np.uint8)
    for band in bands:
        rows = len(band.pixels) // scale
        y = band.y // scale
        first, last = max(y - 1, 0), min(y + rows + 1, len(alpha))
        source = to_float(alpha[first:last, :, 0])
        least = cv2.erode(source, around)[y - first : y - first + rows]
        greatest = cv2.dilate(source, around)[y - first : y - first + rows]
        low, high = (edge.repeat(scale, 0).repeat(scale, 1)[:, :, None] for edge in (least, greatest))
        yield Band(band.y, np.clip(band.pixels, low, high))
