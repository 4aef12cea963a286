"""NIQE: how natural a picture looks, without knowing what it should look like. For quality.py.

Its statistics of natural pictures are BasicSR's, in a file that is not part of this project.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

BLOCK = 96
"""Pixels of a side of the blocks whose statistics are compared."""

Plane = NDArray[np.float64]
"""(height, width), 0..255."""


@dataclass(frozen=True, slots=True)
class Pristine:
    """What NIQE's 36 features are in pictures that nothing happened to: a Gaussian's mean and covariance."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def read(cls, file: Path) -> Pristine:
        with np.load(file) as arrays:
            return cls(arrays["mu_pris_param"].ravel(), arrays["cov_pris_param"])


def pristine_file() -> Path | None:
    """Of the installed BasicSR, which is not imported; None if there is none."""
    found = importlib.util.find_spec("basicsr")
    places = found.submodule_search_locations if found else None
    return Path(places[0]) / "metrics" / "niqe_pris_params.npz" if places else None


def niqe(luma: Plane, pristine: Pristine) -> float:
    """Mittal, Soundararajan, Bovik 2013, as their own program computes it: the distance of the features of a picture's
    blocks, at its size and at half of it, from those of pristine pictures. Blocks without contrast are left out; NaN if
    fewer than two remain. BasicSR's agrees to 0.001, except for pictures with flat parts, where rounding decides."""
    rows, columns = (length // BLOCK for length in luma.shape)
    plane = np.rint(luma[: rows * BLOCK, : columns * BLOCK])
    scales = []
    for side in (BLOCK, BLOCK // 2):
        contrast = normalised(plane).reshape(rows, side, columns, side).swapaxes(1, 2)
        scales.append([features(block) for row in contrast for block in row])
        plane = halved(plane)
    blocks = np.concatenate(scales, axis=1)
    blocks = blocks[~np.isnan(blocks).any(axis=1)]
    if len(blocks) < 2:
        return math.nan
    distance = blocks.mean(axis=0) - pristine.mean
    spread = np.linalg.pinv((pristine.covariance + np.cov(blocks, rowvar=False)) / 2)
    return float(np.sqrt(distance @ spread @ distance))


def normalised(plane: Plane) -> Plane:
    """The difference of each pixel to the mean around it, by the deviation around it."""

    def mean(values: Plane) -> Plane:
        return np.asarray(cv2.GaussianBlur(values, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE))

    middle = mean(plane)
    return np.asarray((plane - middle) / (np.sqrt(np.abs(mean(plane**2) - middle**2)) + 1))


def halved(plane: Plane) -> Plane:
    """By the cubic filter of a = -0.5, widened, and mirrored at the edges, which is MATLAB's."""
    taps = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
    filtered = cv2.sepFilter2D(plane, cv2.CV_64F, taps, taps, anchor=(3, 3), borderType=cv2.BORDER_REFLECT)
    return np.asarray(filtered[::2, ::2])


def features(block: Plane) -> list[float]:
    """18 numbers: of the distribution of contrasts, and of the products of neighbours in four directions."""
    shape, left, right = asymmetric(block)
    found = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = asymmetric(block * np.roll(block, shift, axis=(0, 1)))
        mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape)
        found += [shape, mean, left, right]
    return found


def asymmetric(values: Plane) -> tuple[float, float, float]:
    """Shape, left and right scale of an asymmetric generalised Gaussian (Lasmar, Stitou, Berthoumieu 2009), from its
    moments; scales are NaN where nothing is below or above zero."""
    below, above = values[values < 0], values[values > 0]
    if len(below) == 0 or len(above) == 0:
        return 1.0, math.nan, math.nan
    left, right = math.sqrt(np.mean(below**2)), math.sqrt(np.mean(above**2))
    skew = left / right
    ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2) * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shapes, ratios = moments()
    shape = float(shapes[np.argmin((ratios - ratio) ** 2)])
    scale = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
    return shape, left * scale, right * scale


@functools.cache
def moments() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shapes, and the squared mean of absolute values by the mean of squares that a distribution of each has."""
    shapes = np.arange(0.2, 10.001, 0.001)
    gamma = np.vectorize(math.gamma)
    return shapes, gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
