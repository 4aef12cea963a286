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

from ..arrays import FloatArray, Pixels
from ..tiling import Band, Region
from .base import Surface
from .upload import Upload

HALFWAY = 4.0
"""Standard deviation in source pixels of the smoothing at fidelity 0.5."""

WIDEST = 32.0
"""Standard deviation in source pixels of the smoothing at the lowest fidelities."""

STRIP_ROWS = 32
"""Rows of the source whose results are corrected together on the host, if they are not too wide."""

WIDE_VALUES = 2**23
"""Most values of the results of these rows; but they are no fewer than the correction looks around."""

LINEAR = 1
"""Source pixels to either side on which a pixel of a linear enlargement depends."""

SHARPENING = 8
"""Source pixels to either side over which the blur of enlarging and shrinking is removed."""


@dataclass(slots=True)
class LrRmse:
    """RMSE between the source and the result shrunk to its size by area averaging (LR consistency error)."""

    squares: Pixels = 0.0
    """The sum of squared differences; on a GPU a tensor of one number."""
    count: int = 0
    part: Region | None = None
    """The part of the source that counts; None: all of it."""

    @property
    def levels(self) -> float:
        """The RMSE in 8-bit levels."""
        return 255 * math.sqrt(float(self.squares) / max(self.count, 1))

    def add(self, difference: Pixels, y: int, surface: Surface) -> None:
        """Adds the difference of rows of the source from row `y` on."""
        if (part := self.part) is not None:
            rows = slice(max(part.y - y, 0), max(part.y + part.height - y, 0))
            difference = difference[rows, part.x : part.x + part.width]
        self.squares = self.squares + surface.sum_squares(difference)
        self.count += math.prod(difference.shape)


@dataclass(frozen=True, slots=True)
class _Block:
    """The result of some rows of the source from `y` on, and its difference to the source when shrunk back."""

    y: int
    result: Pixels
    difference: Pixels


def fidelity_after_scale(fidelity: float, ratio: float) -> float:
    """Returns the fidelity that holds a picture that was enlarged `ratio` times in the structures that `fidelity` holds
    in one that was not. Details finer than the pixels it had before are left alone, even with fidelity 1."""
    if fidelity == 0:
        return 0.0
    deviation = ratio * (HALFWAY * (1 - fidelity) / fidelity + 0.5)
    return HALFWAY / (HALFWAY + deviation)


def correction_reach(fidelity: float, scale: int) -> int:
    """Returns how many source pixels to either side the correction of a result depends on."""
    return len(_kernel(fidelity, scale)) // 2 + LINEAR if fidelity > 0 else 0


def back_project(bands: Iterable[Band], source: Upload, scale: int, fidelity: float, lr_rmse: LrRmse) -> Iterator[Band]:
    """Corrects bands of a result `scale` times as large as `source`, (height, width, 1 or 3), and clips them to 0..1.

    With `fidelity` 1 the result, shrunk back, is the source. With less, only structures are held that are the coarser
    the less it is, and with 0 nothing is changed. The error of the corrected bands, which are float32, is added to
    `lr_rmse`.
    """
    surface = source.surface
    kernel = _kernel(fidelity, scale) if fidelity > 0 else None
    halo = correction_reach(fidelity, scale)
    values = source.shape[1] * source.shape[2] * scale**2
    rows = max(min(STRIP_ROWS, WIDE_VALUES // values), halo, surface.strip_values // values, 1)
    blocks = _blocks(bands, source, scale, rows)
    above: Pixels | None = None
    block, below = next(blocks), next(blocks, None)
    while True:
        result, difference = block.result, block.difference
        if kernel is not None:
            parts = [above, difference, below.difference if below else None]
            smooth = surface.smooth(surface.concatenate([part for part in parts if part is not None]), kernel)
            first = 0 if above is None else len(above)
            start = max(first - LINEAR, 0)
            enlarged = surface.enlarge(smooth[start : first + len(difference) + LINEAR], scale)
            correction = enlarged[(first - start) * scale :][: len(result)]
            correction += result
            result = surface.clip(correction, out=correction)
            difference = _difference(surface, result, source, block.y, scale)
        lr_rmse.add(difference, block.y, surface)
        yield Band(block.y * scale, result)
        if below is None:
            return
        above, block, below = block.difference, below, next(blocks, None)


def _blocks(bands: Iterable[Band], source: Upload, scale: int, rows: int) -> Iterator[_Block]:
    """Regroups the result, `rows` of the source at a time, and clips it to 0..1."""
    surface = source.surface
    parts = (band.pixels for band in bands)
    rest = next(parts)
    for y in range(0, source.shape[0], rows):
        height = min(rows, source.shape[0] - y)
        result = surface.empty((height * scale, *rest.shape[1:]))
        filled = 0
        while filled < len(result):
            if len(rest) == 0:
                rest = next(parts)
            taken = min(len(rest), len(result) - filled)
            surface.clip(rest[:taken], out=result[filled : filled + taken])
            rest, filled = rest[taken:], filled + taken
        source.forget(y - rows)
        yield _Block(y, result, _difference(surface, result, source, y, scale))


def _difference(surface: Surface, result: Pixels, source: Upload, y: int, scale: int) -> Pixels:
    """Returns the difference of rows of the source, from row `y` on, to their result shrunk."""
    known = source.rows(y, y + len(result) // scale)
    return surface.to_float(known) - surface.shrink(result, scale)


@functools.cache
def _kernel(fidelity: float, scale: int) -> FloatArray:
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
    kernel: FloatArray = (taps / taps.sum()).astype(np.float32)
    return kernel
