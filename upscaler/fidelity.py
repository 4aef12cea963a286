"""Holds a result to its source: measures how it differs when shrunk back, and corrects its low frequencies.

The correction is the limit of iterative back-projection (Irani and Peleg, 1991), computed at once: the difference to
the source, smoothed, sharpened by what enlarging and shrinking it will blur, and enlarged.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .arrays import FloatArray, PixelArray, to_float
from .tiling import Band

HALFWAY = 4.0
"""Standard deviation in source pixels of the smoothing at fidelity 0.5."""

WIDEST = 32.0
"""Standard deviation in source pixels of the smoothing at the lowest fidelities."""

STRIP_ROWS = 32
"""Rows of the source whose results are corrected together, at least."""

LINEAR = 1
"""Source pixels to either side on which a pixel of a linear enlargement depends."""

SHARPENING = 8
"""Source pixels to either side over which the blur of enlarging and shrinking is removed."""


@dataclass(slots=True)
class LrRmse:
    """RMSE between the source and the result shrunk to its size by area averaging (LR consistency error)."""

    squares: float = 0.0
    count: int = 0

    @property
    def levels(self) -> float:
        """The RMSE in 8-bit levels."""
        return 255 * math.sqrt(self.squares / max(self.count, 1))

    def add(self, difference: FloatArray) -> None:
        self.squares += float(np.square(difference).sum(dtype=np.float64))
        self.count += difference.size


@dataclass(frozen=True, slots=True)
class _Block:
    """The result of some rows of the source from `y` on, and its difference to the source when shrunk back."""

    y: int
    result: FloatArray
    difference: FloatArray


def fidelity_after_scale(fidelity: float, ratio: float) -> float:
    """Returns the fidelity that holds a picture that was enlarged `ratio` times in the structures that `fidelity` holds
    in one that was not. Details finer than the pixels it had before are left alone, even with fidelity 1."""
    if fidelity == 0:
        return 0.0
    deviation = ratio * (HALFWAY * (1 - fidelity) / fidelity + 0.5)
    return HALFWAY / (HALFWAY + deviation)


def back_project(
    bands: Iterable[Band], source: PixelArray, scale: int, fidelity: float, lr_rmse: LrRmse
) -> Iterator[Band]:
    """Corrects bands of a result `scale` times as large as `source`, (height, width, 1 or 3), and clips them to 0..1.

    With `fidelity` 1 the result, shrunk back, is the source. With less, only structures are held that are the coarser
    the less it is, and with 0 nothing is changed. The error of the corrected bands is added to `lr_rmse`.
    """
    kernel = _kernel(fidelity, scale) if fidelity > 0 else None
    halo = 0 if kernel is None else len(kernel) // 2 + LINEAR
    blocks = _blocks(bands, source, scale, max(STRIP_ROWS, halo))
    above: FloatArray | None = None
    block, below = next(blocks), next(blocks, None)
    while True:
        result, difference = block.result, block.difference
        if kernel is not None:
            parts = [above, difference, below.difference if below else None]
            window = np.concatenate([part for part in parts if part is not None])
            smooth = cv2.sepFilter2D(window, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
            first = 0 if above is None else len(above)
            start = max(first - LINEAR, 0)
            part = smooth.reshape(window.shape)[start : first + len(difference) + LINEAR]
            height, width, channels = part.shape
            large = cv2.resize(part, (width * scale, height * scale), interpolation=cv2.INTER_LINEAR)
            enlarged: FloatArray = np.asarray(large, np.float32).reshape(height * scale, width * scale, channels)
            correction = enlarged[(first - start) * scale :][: len(result)]
            correction += result
            result = np.clip(correction, 0.0, 1.0, out=correction)
            difference = _difference(result, source[block.y : block.y + len(difference)])
        lr_rmse.add(difference)
        yield Band(block.y * scale, result)
        if below is None:
            return
        above, block, below = block.difference, below, next(blocks, None)


def _blocks(bands: Iterable[Band], source: PixelArray, scale: int, rows: int) -> Iterator[_Block]:
    """Regroups the result, `rows` of the source at a time, and clips it to 0..1."""
    parts = (band.pixels for band in bands)
    rest = next(parts)
    for y in range(0, len(source), rows):
        known = source[y : y + rows]
        result = np.empty((len(known) * scale, *rest.shape[1:]), np.float32)
        filled = 0
        while filled < len(result):
            if len(rest) == 0:
                rest = next(parts)
            taken = min(len(rest), len(result) - filled)
            np.clip(rest[:taken], 0.0, 1.0, out=result[filled : filled + taken])
            rest, filled = rest[taken:], filled + taken
        yield _Block(y, result, _difference(result, known))


def _difference(result: FloatArray, source: PixelArray) -> FloatArray:
    height, width, _ = source.shape
    shrunk = cv2.resize(result, (width, height), interpolation=cv2.INTER_AREA)
    difference: FloatArray = to_float(source) - shrunk.reshape(source.shape)
    return difference


@functools.cache
def _kernel(fidelity: float, scale: int) -> NDArray[np.float32]:
    """Returns one direction of the filter: a Gaussian, divided by the response of enlarging and shrinking."""
    deviation = min(HALFWAY * (1 - fidelity) / fidelity, WIDEST)
    radius = math.ceil(3 * deviation) + (SHARPENING if deviation < 2 else 0)
    middle = 128
    impulse = np.zeros((1, 2 * middle, 1), np.float32)
    impulse[0, middle] = 1
    large = cv2.resize(impulse, (2 * middle * scale, 1), interpolation=cv2.INTER_LINEAR)
    blurred = cv2.resize(large, (2 * middle, 1), interpolation=cv2.INTER_AREA)[0]
    frequencies = np.fft.rfftfreq(2 * middle)
    wanted = np.exp(-2 * (math.pi * deviation * frequencies) ** 2)
    filtered = np.fft.irfft(wanted / np.abs(np.fft.rfft(blurred)), 2 * middle)
    taps = np.roll(filtered, radius)[: 2 * radius + 1]
    kernel: NDArray[np.float32] = (taps / taps.sum()).astype(np.float32)
    return kernel
