"""Figures of one result: distances from the truth, departure from the clean picture, worms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from perceptual import Perceptual
from worn import Case

from upscaler.arrays import PixelArray

BORDER = 4
"""Pixels at each edge of a result that are not measured, as is usual for this scale."""
CALM = 0.4
"""Share of a truth's pixels that are called calm: those around which it varies least."""
FLAT = 4.0
"""Levels by which a truth deviates at most around the calm pixels that are called flat: skies and walls, no grass."""

Plane = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one result. All but `departure` and `perceptual` are of Y within the border."""

    psnr: float
    ssim: float
    perceptual: float
    """Lower is nearer to the truth."""
    departure: float
    """Root mean square of the difference, in 8-bit levels, between the result and the truth, both shrunk by area to the
    source's size. Against the source itself it would forbid cleaning."""
    calm: Detail
    flat: Detail


@dataclass(frozen=True, slots=True)
class Detail:
    """Fine detail of all such pixels of a result, summed, in levels; worms are given as a share of the truth's."""

    result: float
    truth: float


def measure(result: PixelArray, case: Case, perceptual: Perceptual) -> Figures:
    luma, wanted = (luminance(each)[BORDER:-BORDER, BORDER:-BORDER] for each in (result, case.truth))
    size = case.source.shape[1::-1]
    shrunk, clean = (
        cv2.resize(np.asarray(each, np.float32), size, interpolation=cv2.INTER_AREA) for each in (result, case.truth)
    )
    deviation = deviations(wanted)
    is_calm = deviation <= np.quantile(deviation, CALM)
    return Figures(
        psnr=20 * math.log10(255 / max(math.sqrt(np.mean((luma - wanted) ** 2)), 1e-3)),
        ssim=ssim(luma, wanted),
        perceptual=perceptual.distance(result, case.truth),
        departure=math.sqrt(np.mean((shrunk - clean) ** 2)),
        calm=detail(luma, wanted, is_calm),
        flat=detail(luma, wanted, is_calm & (deviation <= FLAT)),
    )


def luminance(picture: PixelArray) -> Plane:
    """Y of ITU-R BT.601, 16..235, not rounded."""
    return np.asarray(16 + picture @ np.array([65.481, 128.553, 24.966]) / 255)


def fine(plane: Plane) -> Plane:
    """How far each pixel is from its surroundings: detail of a few pixels."""
    return np.asarray(np.abs(plane - cv2.GaussianBlur(plane, (0, 0), 2)))


def detail(result: Plane, truth: Plane, where: NDArray[np.bool_]) -> Detail:
    """Of both, there."""
    return Detail(*(float(fine(each)[where].sum()) for each in (result, truth)))


def deviations(plane: Plane) -> Plane:
    """Of each pixel's surroundings."""
    mean = cv2.GaussianBlur(plane, (0, 0), 4)
    return np.asarray(np.sqrt(np.maximum(cv2.GaussianBlur(plane**2, (0, 0), 4) - mean**2, 0)))


def ssim(one: Plane, other: Plane) -> float:
    """Wang, Bovik, Sheikh, Simoncelli 2004: Gaussian windows of 11 pixels that lie within the picture."""
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def mean(plane: Plane) -> Plane:
        return np.asarray(cv2.GaussianBlur(plane, (11, 11), 1.5)[5:-5, 5:-5])

    means = mean(one) * mean(other)
    squares = mean(one) ** 2 + mean(other) ** 2
    alike = (2 * means + first) * (2 * (mean(one * other) - means) + second)
    return float(np.mean(alike / ((squares + first) * (mean(one**2 + other**2) - squares + second))))
