"""Measures at which size a picture still holds its detail: pictures that were enlarged, or are blurred, are larger than
what they show."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import PixelArray, to_float
from ..tiling import Size

SIDE = 256
"""Pixels along a side of the squares whose spectra are looked at."""
ACROSS = 12
"""Squares in each direction, at most: large pictures take no longer than those of 3000x3000 pixels."""
SHARPEST = 4
"""How many of them count, those with the most fine detail: a picture may be sharp in one place only."""
LOSS = 1.0
"""Levels, as root mean square in these squares, that a smaller size may lose."""
STEPS = np.arange(1.0, 0.19, -0.02)
"""Shares of width and height that are tried."""
WORTH = 0.9
"""A picture that holds its detail only above this share is left as it is."""
NOISE_FROM = 0.9
"""Frequencies from here on, as a share of the highest, are taken for noise if the spectrum is flat from
NOISE_BEFORE to there: what an enlargement or a blur leaves is nothing there, and detail falls off."""
NOISE_BEFORE = 0.7


def measure_detail(pixels: PixelArray) -> float:
    """Returns the share of its width and height at which a picture holds its detail: 1 for a sharp one.

    `pixels`: (height, width, 1 or 3). Only as much as a level is lost in its sharpest squares, noise left aside. What
    a smaller size cannot hold are the spectrum's values outside of its square of frequencies.
    """
    height, width = pixels.shape[:2]
    side = min(SIDE, height, width)
    if side < 32:
        return 1.0
    window = np.hanning(side + 2)[1:-1]
    window = window[:, None] * window
    scale = 255**2 / (window**2).sum() / side**2
    places = [(top, left) for top in _starts(height, side) for left in _starts(width, side)]
    spectra = [
        scale * np.abs(np.fft.fft2(window * _luma(pixels[top : top + side, left : left + side]))) ** 2
        for top, left in places
    ]
    frequencies = 2 * np.abs(np.fft.fftfreq(side))
    reach = np.maximum(frequencies[:, None], frequencies)
    lost = np.array([[spectrum[reach > share].sum() for share in STEPS] for spectrum in spectra])
    sharpest = np.argsort(lost[:, len(STEPS) // 2])[-SHARPEST:]
    spectrum = np.mean([spectra[index] for index in sharpest], 0)
    noise = _noise(spectrum, reach)
    holds = 1.0
    for share in STEPS:
        outside = reach > share
        if max(spectrum[outside].sum() - noise * outside.sum(), 0.0) > LOSS**2:
            break
        holds = float(share)
    return holds if holds <= WORTH else 1.0


def reduce_to(pixels: PixelArray, size: Size) -> PixelArray:
    """Returns a smaller picture by the means of its pixels, to measure it: (height, width, channels), the same type."""
    reduced = np.empty((size.height, size.width, pixels.shape[2]), pixels.dtype)
    cv2.resize(pixels, (size.width, size.height), reduced, interpolation=cv2.INTER_AREA)
    return reduced


def _luma(pixels: PixelArray) -> NDArray[np.float32]:
    """Returns the brightness less its mean, 0..1."""
    luma = to_float(pixels).mean(2)
    centred: NDArray[np.float32] = luma - luma.mean()
    return centred


def _noise(spectrum: NDArray[np.float64], reach: NDArray[np.float64]) -> float:
    """Returns the power of the noise at each frequency; 0 if the highest frequencies hold something else as well."""
    highest, before = reach > NOISE_FROM, (reach > NOISE_BEFORE) & (reach <= NOISE_FROM)
    power = float(spectrum[highest].mean())
    return power if float(spectrum[before].mean()) < 1.5 * power else 0.0


def _starts(length: int, side: int) -> list[int]:
    """Returns where squares begin along one direction."""
    count = max(min(length // side, ACROSS), 1)
    return [round(index * (length - side) / max(count - 1, 1)) for index in range(count)]
