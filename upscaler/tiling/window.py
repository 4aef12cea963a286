"""Blending windows: how one tile gives way to the next across the ramp they share.

A window is a function from positions in (0, 1) to weights in (0, 1) of the later tile; the earlier tile has the rest,
so that the two sum to one. To add one: a function here and a row in WINDOWS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ..arrays import FloatArray


def linear(position: FloatArray) -> FloatArray:
    """Rises in a straight line."""
    return position


def cosine(position: FloatArray) -> FloatArray:
    """Rises as a raised cosine, without a kink where the ramp begins and ends."""
    weights: FloatArray = (0.5 - 0.5 * np.cos(np.pi * position)).astype(np.float32)
    return weights


WINDOWS: Final[dict[str, Callable[[FloatArray], FloatArray]]] = {"cosine": cosine, "linear": linear}


def ramp(length: int, window: str = "cosine") -> FloatArray:
    """Returns weights of the later tile at `length` pixels across a ramp: float32, shape (length,), within 0..1."""
    return WINDOWS[window](((np.arange(length) + 0.5) / max(length, 1)).astype(np.float32))
