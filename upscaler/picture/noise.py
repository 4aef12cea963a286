"""Measures how noisy and how compressed a picture is, and says how much of that should be removed before enlarging.

Nothing is trained: the measures are statistics of blocks of 8x8 pixels, with thresholds that were chosen on 77 clean
photographs, and on the same with noise and compression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, PixelArray, to_float

BLOCK = 8
"""Pixels of a block along a side, as in JPEG."""
FINE = 1.5
"""Standard deviation in pixels of a Gaussian blur: the detail that it removes is called fine, noise included."""
FLATTEST = 0.02
"""Share of the blocks whose mean deviation is called the floor: even in forests some sky or shade is that flat."""
SHARE, SPREAD = 0.15, 1.6
"""With noise, SHARE of the blocks deviate less than SPREAD times the floor. In clean photographs with a high floor they
deviate more, but for one of 77."""
FEWEST, SHORTEST = 256, 24
"""Blocks in a picture from which the floor of brightness is believed, and along a side from which blocking is: in
smaller pictures texture is easily taken for noise, and chance for blocks."""

LUMA = (1.5, 4.0)
"""Floors of brightness, in 8-bit levels, up to which nothing is removed and from which all is. Noise of 3 levels has
1.7, of 5 levels 2.7 if each colour has its own and 3.9 if it is grey."""
CERTAIN_LUMA = 6.0
"""A floor of brightness that texture has in one of 77 clean photographs only (of a tunnel's bricks, 7.4)."""
CHROMA = (1.5, 4.0)
"""The same for differences of colours: clean photographs are below 1.3, except two of 77; noise of 3 levels, 2.5."""
QUALITY = (82, 55)
"""JPEG qualities down to which nothing is removed and from which all is."""
BLOCKING = (2.1, 3.5)
"""The same for `Wear.blocking`: clean photographs are below 1.9, but for two of 77; at quality 40 the median is 2.9."""


@dataclass(frozen=True, slots=True)
class Wear:
    """The noise and compression of a picture, as measured."""

    luma: float
    """The floor of fine detail in brightness, in 8-bit levels."""
    chroma: float
    """The floor of fine detail in differences of colours, in 8-bit levels; 0 for grey pictures."""
    spread: float
    """The deviation that SHARE of the blocks stay below, over the floor: 1.2 for noise, above SPREAD for texture."""
    blocking: float
    """How far steps between pixels at the borders of 8x8 blocks exceed those elsewhere, in deviations of the latter."""
    quality: int | None = None
    """The JPEG quality that the file's own tables tell; None when there are none."""

    @property
    def strength(self) -> float:
        """Share of the noise and compression that should be removed: 0, nothing, to 1, all."""
        is_noise = self.spread < SPREAD or self.luma > CERTAIN_LUMA
        measures = [(self.luma, *LUMA) if is_noise else (0.0, *LUMA), (self.chroma, *CHROMA)]
        measures.append((self.blocking, *BLOCKING) if self.quality is None else (self.quality, *QUALITY))
        return max(float(np.clip((value - low) / (high - low), 0, 1)) for value, low, high in measures)


def measure_wear(pixels: PixelArray, quality: int | None = None) -> Wear:
    """Measures a picture, (height, width, 1 or 3); `quality` is the `jpeg_quality` of its file, if that is a JPEG."""
    levels = 255 * to_float(pixels)
    red, green, blue = (levels[:, :, min(channel, levels.shape[2] - 1)] for channel in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    usable = _usable(levels)
    deviations = np.sort(_deviations(luma)[usable])
    floor = _floor(deviations)
    is_known = floor > 0 and len(deviations) >= FEWEST
    spread = float(deviations[int(SHARE * len(deviations))]) / floor if is_known else float("inf")
    differences = np.hypot(_deviations(red - green), _deviations(blue - green)) / 2
    blocking = min(_blocking(luma), _blocking(luma.T))
    return Wear(floor, _floor(np.sort(differences[usable])), spread, blocking, quality)


def jpeg_quality(table: Sequence[int]) -> int:
    """Returns the quality, 1 to 100 on libjpeg's scale, of a quantisation table of brightness, in any order of steps.

    The standard's table (ITU-T T.81, annex K), which is quality 50, has a mean of 57.625. Below 20 the answer is too
    high by up to 5, since steps are at most 255.
    """
    scale = 100 * float(np.mean(table)) / 57.625
    return int(np.clip(round(100 - scale / 2 if scale <= 100 else 5000 / scale), 1, 100))


def _blocks(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cuts a plane into (blocks, BLOCK * BLOCK). The rest at the edges is left out, unless there is no whole block."""
    height, width = (max(length // BLOCK, 1) for length in plane.shape)
    padded = np.pad(plane, [(0, max(BLOCK - length, 0)) for length in plane.shape], "edge")
    cut = padded[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width, BLOCK)
    return cut.transpose(0, 2, 1, 3).reshape(-1, BLOCK * BLOCK)


def _deviations(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the standard deviation of fine detail in each block."""
    deviations: NDArray[np.float32] = _blocks(plane - cv2.GaussianBlur(plane, (0, 0), FINE)).std(1)
    return deviations


def _usable(levels: FloatArray) -> NDArray[np.bool_]:
    """Selects the blocks in which no channel is clipped, because clipping hides noise, or all if these are few."""
    highest, lowest = _blocks(levels.max(2)).max(1), _blocks(levels.min(2)).min(1)
    usable: NDArray[np.bool_] = (highest < 253) & (lowest > 2)
    return usable if usable.mean() >= 0.05 else np.ones_like(usable)


def _floor(deviations: NDArray[np.float32]) -> float:
    """Returns the mean of the smallest of the deviations, which come sorted."""
    return float(deviations[: max(int(FLATTEST * len(deviations)), 3)].mean())


def _blocking(luma: NDArray[np.float32]) -> float:
    """Measures `Wear.blocking` across columns; the grid may begin anywhere, as in a picture that was cropped."""
    if luma.shape[1] < SHORTEST * BLOCK:
        return 0.0
    steps = np.abs(np.diff(luma, axis=1))
    excess = np.clip(steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2, -6, 6).mean(0)
    by_phase = np.array([excess[phase::BLOCK].mean() for phase in range(BLOCK)])
    others = np.delete(by_phase, by_phase.argmax())
    return float((by_phase.max() - others.mean()) / (others.std() + 0.02))
