"""Tells which faces are restored, and why others are left alone.

A face is good, and left alone, if its longer side has as many source pixels as `only_below` says, or if it has at least
GOOD_SIDE of them, is sharp, and shows little noise and compression.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from ..arrays import PixelArray
from ..picture import Face, measure_wear
from ..tiling import Size
from .geometry import SIDE, Affine, cut, mask_in
from .options import FaceOptions

GOOD_SIDE = 96
"""Source pixels of the longer side from which on a face may be good: networks that enlarge deform smaller ones."""

LOOK = 128
"""Pixels a side of the square in which sharpness is measured: a face of GOOD_SIDE pixels fills it at about its own
size."""

SHARP = 0.08
"""Share of its contrast that a good face loses when the square is shrunk to half. A sharp portrait of 113 pixels loses
0.14, of 70 pixels 0.10; blurred by a Gaussian of one pixel 0.06 and 0.03."""

WORN = 0.5
"""Share of noise and compression that `denoise="auto"` would remove from a face from which on it is not good."""

ASIDE = 0.3
"""How far landmarks may lie from where restorers want them, in terms of the distance between the eyes: below 0.15 in a
face that is seen from the front, 0.3 with 0.3 of its breadth, which is turned by 70 degrees. Restorers have hardly
learned from such faces."""


def reason_to_leave(
    face: Face, matrix: Affine, misfit: float, pixels: PixelArray, quality: int | None, options: FaceOptions
) -> str | None:
    """Returns why a face is left alone, as part of a sentence; None if it shall be restored.

    `matrix` and `misfit` are what `align` returns; `pixels` are the source's, (height, width, 1 or 3), and `quality` is
    that of its file; see `Picture.quality`.
    """
    if face.side >= options.only_below:
        return f"it is large, {round(face.side)} pixels"
    if misfit > ASIDE:
        return "it is seen too far from the side"
    if face.side < GOOD_SIDE or measure_sharpness(pixels, matrix) < SHARP:
        return None
    height, width = pixels.shape[:2]
    left, top = max(math.floor(face.x), 0), max(math.floor(face.y), 0)
    right, bottom = min(math.ceil(face.x + face.width), width), min(math.ceil(face.y + face.height), height)
    wear = measure_wear(pixels[top:bottom, left:right], quality)
    return None if wear.strength >= WORN else "it is sharp and clean"


def measure_sharpness(pixels: PixelArray, matrix: Affine) -> float:
    """Returns the share of its contrast that a face loses when its square of LOOK pixels a side is shrunk to half."""
    grey = cut(pixels, matrix, LOOK).mean(axis=2)
    mask = mask_in(np.eye(2, 3) * SIDE / LOOK, Size(LOOK, LOOK))
    small = cv2.resize(grey, (LOOK // 2, LOOK // 2), interpolation=cv2.INTER_AREA)
    lost = grey - cv2.resize(small, (LOOK, LOOK), interpolation=cv2.INTER_CUBIC)
    contrast = np.sum(mask * (grey - np.average(grey, weights=mask)) ** 2)
    return math.sqrt(float(np.sum(mask * lost**2) / (contrast + 1e-9)))
