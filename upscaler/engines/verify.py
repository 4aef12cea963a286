"""Tells what is wrong with a computed tile: not finite, flat, another tile's pixels, or nothing like its source."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..arrays import FloatArray

BLOCKS = 8
"""A tile and its result are compared as this many blocks a side: noise, grain and invented detail average out."""

FLAT = 1e-4
"""Standard deviation under which a result is flat."""

NOT_FLAT = 0.02
"""Standard deviation above which a source is not flat: five 8-bit levels, more than noise that a network may remove."""

TONE = 0.06
"""Root mean square difference of the blocks that is always allowed: fifteen 8-bit levels."""

CONTRAST = 0.5
"""Further difference allowed, as a share of the source's own contrast. Unrelated content differs by 1.4 times it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The reason why a tile's result is taken for wrong."""

    reason: str
    certain: bool
    """False if the result merely looks wrong. If a second, different computation agrees, it is taken for right."""


def fault(source: FloatArray, result: FloatArray, scale: int, keeps_tone: bool) -> Fault | None:
    """Compares a source tile, (height, width, channels), with its result. Returns None if nothing is wrong.

    Networks that do not keep the tone are compared after their brightness and contrast have been matched.
    """
    expected = (source.shape[0] * scale, source.shape[1] * scale, source.shape[2])
    if result.shape != expected:
        return Fault(f"its result has the shape {result.shape} instead of {expected}", True)
    ours, theirs = _blocks(source), _blocks(result)
    if not np.isfinite(theirs).all():  # a sum is finite only if every term is
        return Fault("its result is not a number in places", True)
    if _is_flat(result) and _contrast(source) > NOT_FLAT:
        return Fault("its result is one flat colour", True)
    if not keeps_tone:
        theirs = _match(theirs, ours)
    difference = float(np.sqrt(np.mean((theirs - ours) ** 2)))
    if difference > TONE + CONTRAST * float(ours.std(axis=(0, 1)).mean()):
        return Fault(f"its result does not resemble its source (difference {difference:.2f} of 1)", False)
    return None


def is_stale(source: FloatArray, result: FloatArray, previous: tuple[FloatArray, FloatArray] | None) -> bool:
    """Returns whether a result equals that of the tile before, (source, result), though the sources differ."""
    if previous is None or previous[1].shape != result.shape:
        return False
    same = np.array_equal(previous[1][::31, ::29], result[::31, ::29]) and np.array_equal(previous[1], result)
    return same and not _is_flat(result) and not np.array_equal(previous[0], source)


def agree(one: FloatArray, other: FloatArray) -> bool:
    """Returns whether two computations of a tile gave the same result, up to the rounding of half precision."""
    return one.shape == other.shape and float(np.abs(one - other).mean()) < 0.02


def _blocks(pixels: FloatArray) -> FloatArray:
    """Returns means of BLOCKS x BLOCKS parts, (rows, columns, channels). They are not finite where a pixel is not."""
    rows, columns = (np.linspace(0, side, min(BLOCKS, side) + 1).astype(int) for side in pixels.shape[:2])
    # Not by a matrix product, though it is faster: the threads it leaves spinning slow the network down by a third.
    strips = [pixels[first:last].mean(axis=0) for first, last in pairwise(rows)]
    blocks = [np.stack(strips)[:, first:last].mean(axis=1) for first, last in pairwise(columns)]
    return np.stack(blocks, axis=1)


def _contrast(pixels: FloatArray) -> float:
    """Returns the standard deviation over the tile, in the channel where it is greatest."""
    return float(pixels.std(axis=(0, 1)).max())


def _is_flat(pixels: FloatArray) -> bool:
    return float(np.ptp(pixels[::9, ::7], axis=(0, 1)).max()) < 100 * FLAT and _contrast(pixels) < FLAT


def _match(blocks: FloatArray, to: FloatArray) -> FloatArray:
    """Gives blocks the mean and contrast of others."""
    spread = blocks.std(axis=(0, 1)) + 1e-6
    matched: FloatArray = (blocks - blocks.mean(axis=(0, 1))) / spread * to.std(axis=(0, 1)) + to.mean(axis=(0, 1))
    return matched
