"""Tells what is wrong with a computed tile: not finite, flat, another tile's pixels, or nothing like its source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import FloatArray, Pixels
from ..surface import Statistics

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


def fault(statistics: Statistics, keeps_tone: bool) -> Fault | None:
    """Judges a result by what was measured of it. Returns None if nothing is wrong.

    Networks that do not keep the tone are compared after their brightness and contrast have been matched.
    """
    ours, theirs = statistics.source, statistics.result
    if statistics.is_stale:
        return Fault("its result is the one of the tile before", True)
    if not np.isfinite(theirs).all():  # a sum is finite only if every term is
        return Fault("its result is not a number in places", True)
    if statistics.is_flat and statistics.contrast > NOT_FLAT:
        return Fault("its result is one flat colour", True)
    if not keeps_tone:
        theirs = _match(theirs, ours)
    difference = float(np.sqrt(np.mean((theirs - ours) ** 2)))
    if difference > TONE + CONTRAST * float(ours.std(axis=(0, 1)).mean()):
        return Fault(f"its result does not resemble its source (difference {difference:.2f} of 1)", False)
    return None


def agree(one: Pixels, other: Pixels) -> bool:
    """Returns whether two computations of a tile gave the same result, up to the rounding of half precision."""
    return one.shape == other.shape and float(abs(one - other).mean()) < 0.02


def _match(blocks: FloatArray, to: FloatArray) -> FloatArray:
    """Gives blocks the mean and contrast of others."""
    spread = blocks.std(axis=(0, 1)) + 1e-6
    matched: FloatArray = (blocks - blocks.mean(axis=(0, 1))) / spread * to.std(axis=(0, 1)) + to.mean(axis=(0, 1))
    return matched
