"""Measures how noisy and how compressed a picture is, and says how much of that should be removed before enlarging.

Nothing is trained: the measures are statistics of blocks of 8x8 pixels, with thresholds that were chosen on 77 clean
photographs, and on the same with noise and compression. `compression` tells the quality of JPEG.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, PixelArray, to_float
from .compression import BLOCK, cut_blocks, find_jpeg_quality

CELL, CELLS = 256, 64
"""Pixels along a side of the cells in which a picture is measured, at least, and how many of them there are at most."""
WINDOW = 384
"""Pixels along a side of the middle of a cell that are looked at, at most: large pictures take no longer than those of
3000x3000 pixels."""
FINE = 1.5
"""Standard deviation in pixels of a Gaussian blur: the detail that it removes is called fine, noise included."""
FLATTEST = 0.02
"""Share of the blocks whose mean deviation is called the floor: even in forests some sky or shade is that flat."""
SHARE, SPREAD = 0.15, 1.6
"""With noise, SHARE of the blocks deviate less than SPREAD times the floor. In clean photographs with a high floor they
deviate more, but for one of 77."""
FEWEST, FEW = 256, 64
"""Blocks. With fewer than FEWEST a picture is small, and has bounds of its own; of a larger one no spread is believed
if fewer of its blocks are not clipped. With fewer than FEW, as icons and thumbnails have, no noise is looked for."""
SMALL_SHARE, SMALL_SPREAD = 0.5, 1.4
"""SHARE and SPREAD of small pictures, for brightness and for colours: of 77 photographs made 64, 96 and 128 pixels wide
none, one and two are taken for noisy then."""
LUMA = (1.5, 4.0)
"""Floors of brightness, in 8-bit levels, up to which nothing is removed and from which all is. Noise of 3 levels has
1.7, of 5 levels 2.7 if each colour has its own and 3.9 if it is grey."""
CERTAIN_LUMA = 7.5
"""A floor of brightness that is noise whatever the spread: clean texture has 7.4 at most."""
CHROMA = (1.5, 4.0)
"""The same for differences of colours: clean photographs are below 1.3, except two of 77; noise of 3 levels, 2.5."""
PART_FEWEST, PART_SPREAD, PART_FLOOR = 128, 1.33, 2.2
"""The bounds for parts of a picture, its darker and brighter half and its cells: there are several of them, so each
must be surer of its noise."""
QUALITY = (82, 55)
"""Qualities of JPEG and WebP down to which nothing is removed and from which all is."""


@dataclass(frozen=True, slots=True)
class Wear:
    """The noise and compression of a picture, as measured."""

    luma: float
    """The floor of fine detail in brightness, in 8-bit levels."""
    chroma: float
    """The floor of fine detail in differences of colours, in 8-bit levels; 0 for grey pictures."""
    quality: int | None
    """The lower quality of JPEG or WebP, 0 to 100, of those that the file and its pixels tell; None when neither does.
    Pixels tell of a JPEG from before the file."""
    shares: FloatArray = field(compare=False)
    """How much of it should be removed in each cell of a grid over the picture, (rows, columns), 0, nothing, to 1."""

    @property
    def strength(self) -> float:
        """The largest of `shares`; 0 for a clean picture."""
        return float(self.shares.max())

    def __str__(self) -> str:
        quality = "none" if self.quality is None else f"quality {self.quality}"
        return (
            f"noise in the flattest places: {self.luma:.1f} levels of brightness, {self.chroma:.1f} of colour; "
            f"compression: {quality}."
        )


def measure_wear(pixels: PixelArray, quality: int | None = None) -> Wear:
    """Measures a picture, (height, width, 1 or 3). `quality`: see `Picture.quality`."""
    height, width = pixels.shape[:2]
    rows, columns = _grid(height, width)
    places = [(top, left) for top in _middles(height, rows) for left in _middles(width, columns)]
    windows = [_split(pixels[top, left]) for top, left in places]
    earlier = find_jpeg_quality([luma for luma, _ in windows])
    quality = min((each for each in (quality, earlier) if each is not None), default=None)
    cells = [_measure(luma, colours) for luma, colours in windows]
    whole = _Blocks(*(np.concatenate(parts) for parts in zip(*cells, strict=True)))
    darker = whole.brightness < np.median(whole.brightness)
    share = 0.0
    if height * width >= FEW * BLOCK**2:
        strength = whole.strength(is_small=height * width < FEWEST * BLOCK**2)
        share = max(strength, whole.part(darker).local_strength(), whole.part(~darker).local_strength())
    if quality is not None:
        share = max(share, _ramp(quality, *QUALITY))
    shares = [max(share, cell.local_strength()) for cell in cells]
    return Wear(whole.luma_floor, whole.chroma_floor, quality, np.array(shares, np.float32).reshape(rows, columns))


class _Blocks(NamedTuple):
    """Blocks of 8x8 pixels: arrays of one number for each, in 8-bit levels."""

    luma: NDArray[np.float32]
    """The standard deviation of fine detail in brightness."""
    chroma: NDArray[np.float32]
    """The same for differences of colours."""
    brightness: NDArray[np.float32]

    @property
    def luma_floor(self) -> float:
        return _floor(self.luma)[0]

    @property
    def chroma_floor(self) -> float:
        return _floor(self.chroma)[0]

    def strength(self, is_small: bool) -> float:
        """Returns how much should be removed if these are the blocks of a whole picture, 0 to 1."""
        (luma, spread), (chroma, chroma_spread) = (
            _floor(values, SMALL_SHARE if is_small else SHARE) for values in (self.luma, self.chroma)
        )
        if is_small:
            is_noise, is_colour_noise = spread < SMALL_SPREAD, chroma_spread < SMALL_SPREAD
        else:
            is_noise = (len(self.luma) >= FEWEST and spread < SPREAD) or luma > CERTAIN_LUMA
            is_colour_noise = True
        return max(_ramp(luma, *LUMA) * is_noise, _ramp(chroma, *CHROMA) * is_colour_noise)

    def local_strength(self) -> float:
        """Returns how much should be removed from a part of a picture whose blocks these are, 0 to 1."""
        if len(self.luma) < PART_FEWEST:
            return 0.0
        measures = [(*_floor(values), bounds) for values, bounds in ((self.luma, LUMA), (self.chroma, CHROMA))]
        return max(
            _ramp(floor, *bounds) if floor > PART_FLOOR and spread < PART_SPREAD else 0.0
            for floor, spread, bounds in measures
        )

    def part(self, chosen: NDArray[np.bool_]) -> _Blocks:
        return _Blocks(*(values[chosen] for values in self))


def _grid(height: int, width: int) -> tuple[int, int]:
    """Returns how many rows and columns of cells a picture is measured in."""
    rows, columns = max(height // CELL, 1), max(width // CELL, 1)
    shrink = max(math.sqrt(rows * columns / CELLS), 1.0)
    rows = min(max(int(rows / shrink), 1), CELLS)
    return rows, min(columns, CELLS // rows)


def _middles(length: int, count: int) -> Iterator[slice]:
    """Yields the middles of `count` equal parts of a side, at most WINDOW pixels long; they begin at multiples of 8."""
    for index in range(count):
        first, last = index * length // count, (index + 1) * length // count
        start = first + max(last - first - WINDOW, 0) // 2
        yield slice(start - start % BLOCK, min(start + WINDOW, last))


def _split(pixels: PixelArray) -> tuple[NDArray[np.float32], FloatArray]:
    """Returns brightness, (height, width), and colours, (height, width, channels), in 8-bit levels; a block or more."""
    height, width = pixels.shape[:2]
    padding = [(0, max(BLOCK - height, 0)), (0, max(BLOCK - width, 0)), (0, 0)]
    levels = np.pad(255 * to_float(pixels), padding, "edge")
    weights = np.array([0.299, 0.587, 0.114] if levels.shape[2] == 3 else [1.0], np.float32)
    return levels @ weights, levels


def _measure(luma: NDArray[np.float32], levels: FloatArray) -> _Blocks:
    """Measures the blocks of a window in which no channel is clipped, or all blocks if these are few: clipping hides
    noise."""
    green = levels[:, :, levels.shape[2] // 2]
    chroma = np.hypot(_deviations(levels[:, :, 0] - green), _deviations(levels[:, :, -1] - green)) / 2
    blocks = _Blocks(_deviations(luma), np.asarray(chroma, np.float32), cut_blocks(luma).mean(1))
    usable = (cut_blocks(levels.max(2)).max(1) < 253) & (cut_blocks(levels.min(2)).min(1) > 2)
    return blocks.part(usable if usable.mean() >= 0.05 else np.ones_like(usable))


def _deviations(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the standard deviation of fine detail in each block."""
    deviations: NDArray[np.float32] = cut_blocks(plane - cv2.GaussianBlur(plane, (0, 0), FINE)).std(1)
    return deviations


def _floor(deviations: NDArray[np.float32], share: float = SHARE) -> tuple[float, float]:
    """Returns the mean of the smallest deviations, and the deviation that `share` of them stay below, over that."""
    ordered = np.sort(deviations)
    floor = float(ordered[: max(int(FLATTEST * len(ordered)), 3)].mean())
    return floor, float(ordered[int(share * len(ordered))]) / floor if floor > 0 else math.inf


def _ramp(value: float, low: float, high: float) -> float:
    """Returns 0 at `low` and before, 1 at `high` and beyond, and shares between."""
    return float(np.clip((value - low) / (high - low), 0, 1))
