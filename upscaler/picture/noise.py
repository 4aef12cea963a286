"""Measures how noisy and how compressed a picture is, and says how much of that should be cleaned before enlarging.

Nothing is trained: the measures are statistics of blocks of 8x8 pixels, with thresholds that were read off photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, PixelArray, to_float

BLOCK = 8
"""Pixels of a block along a side: that of JPEG."""

FINE = 1.5
"""Pixels: what a Gaussian of this deviation takes away is fine detail, noise included."""

FLATTEST = 0.02
"""Share of the blocks whose mean deviation is called the floor: even in forests some sky or shade is that flat."""

SHARE, SPREAD = 0.15, 1.6
"""With real noise, SHARE of the blocks deviate less than SPREAD times the floor, the lowest deviation; texture deviates
more: of 77 clean photographs, one with a high floor deviated less."""

FEWEST = 256
"""Blocks from which the floor of brightness is believed: in small pictures texture is easily taken for noise."""

SHORTEST = 24
"""Blocks along a side from which blocking is believed: along shorter ones chance weighs too much."""

CLEAN_LUMA, NOISY_LUMA = 1.5, 4.0
"""Floors of brightness, in 8-bit levels, up to which nothing is cleaned and from which all is. Noise of 3 levels has
1.7, of 5 levels 2.7 if each colour has its own and 3.9 if it is grey."""

CERTAIN_LUMA = 6.0
"""A floor that no texture has; one of 77 clean photographs, of a tunnel's bricks, had 7.4."""

CLEAN_CHROMA, NOISY_CHROMA = 1.5, 4.0
"""The same of differences of colours. In 75 of 77 clean photographs it was below 1.3; noise of 3 levels has 2.5."""

CLEAN_QUALITY, POOR_QUALITY = 82, 55
"""JPEG qualities down to which nothing is cleaned and from which all is."""

CLEAN_BLOCKING, POOR_BLOCKING = 2.1, 3.5
"""Blocking, as `Wear.blocking` measures it, for pictures that come without their tables. 75 of 77 clean photographs had
less than 1.9; at quality 40 the median is 2.9."""


@dataclass(frozen=True, slots=True)
class Wear:
    """What was measured of a picture."""

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
        """How much of the picture should be cleaned: 0, not at all, to 1."""
        luma = _ramp(self.luma, CLEAN_LUMA, NOISY_LUMA) if self.spread < SPREAD or self.luma > CERTAIN_LUMA else 0.0
        chroma = _ramp(self.chroma, CLEAN_CHROMA, NOISY_CHROMA)
        if self.quality is not None:
            compression = _ramp(-self.quality, -CLEAN_QUALITY, -POOR_QUALITY)
        else:
            compression = _ramp(self.blocking, CLEAN_BLOCKING, POOR_BLOCKING)
        return max(luma, chroma, compression)


def measure_wear(pixels: PixelArray, quality: int | None = None) -> Wear:
    """Measures a picture, (height, width, 1 or 3). `quality`: what `jpeg_quality` says of its file, if it is JPEG."""
    levels = 255 * to_float(pixels)
    red, green, blue = (levels[:, :, min(channel, levels.shape[2] - 1)] for channel in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    usable = _usable(levels)
    deviations = np.sort(_deviations(luma)[usable])
    floor = _floor(deviations)
    near = float(deviations[int(SHARE * len(deviations))]) if len(deviations) else 0.0
    chroma = 0.0
    if levels.shape[2] == 3:
        differences = np.hypot(_deviations(red - green), _deviations(blue - green)) / 2
        chroma = _floor(np.sort(differences[usable]))
    spread = near / floor if floor > 0 and len(deviations) >= FEWEST else float("inf")
    return Wear(floor, chroma, spread, _blocking(luma), quality)


def jpeg_quality(table: Sequence[int]) -> int:
    """The quality, 1 to 100, on libjpeg's scale, of a table that quantises brightness, in any order of coefficients.

    The standard's table (ITU-T T.81, annex K), which is quality 50, has a mean of 57.625. Below 20 the answer is too
    high by up to 5, since steps are at most 255.
    """
    scale = 100 * float(np.mean(table)) / 57.625
    quality = 100 - scale / 2 if scale <= 100 else 5000 / scale
    return int(np.clip(round(quality), 1, 100))


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))


def _blocks(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cuts a plane into (blocks, BLOCK * BLOCK). The rest at the edges is left out, unless there is no whole block."""
    height, width = (max(length // BLOCK, 1) for length in plane.shape)
    padded = np.pad(plane, [(0, max(BLOCK - length, 0)) for length in plane.shape], "edge")
    cut = padded[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width, BLOCK)
    return cut.transpose(0, 2, 1, 3).reshape(-1, BLOCK * BLOCK)


def _deviations(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """The standard deviation of fine detail in each block."""
    fine = plane - cv2.GaussianBlur(plane, (0, 0), FINE)
    deviations: NDArray[np.float32] = _blocks(fine).std(1)
    return deviations


def _usable(levels: FloatArray) -> NDArray[np.bool_]:
    """The blocks in which no channel is clipped, or all blocks if these are few: clipping hides noise."""
    highest, lowest = _blocks(levels.max(2)).max(1), _blocks(levels.min(2)).min(1)
    usable: NDArray[np.bool_] = (highest < 253) & (lowest > 2)
    return usable if usable.mean() >= 0.05 else np.ones_like(usable)


def _floor(deviations: NDArray[np.float32]) -> float:
    """The mean of the smallest deviations, which come sorted."""
    return float(deviations[: max(int(FLATTEST * len(deviations)), 3)].mean()) if len(deviations) else 0.0


def _blocking(luma: NDArray[np.float32]) -> float:
    """The lesser of both directions; the grid may begin anywhere, as in a picture that was cropped."""
    return min(_blocking_across(luma), _blocking_across(luma.T))


def _blocking_across(luma: NDArray[np.float32]) -> float:
    if luma.shape[1] < SHORTEST * BLOCK:
        return 0.0
    steps = np.abs(np.diff(luma, axis=1))
    excess = np.clip(steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2, -6, 6).mean(0)
    by_phase = np.array([excess[phase::BLOCK].mean() for phase in range(BLOCK)])
    highest = int(by_phase.argmax())
    others = np.delete(by_phase, highest)
    return float((by_phase[highest] - others.mean()) / (others.std() + 0.02))
