"""What all that makes pictures by chance has in common: the source of chance, choices, and pixels in 8 bits."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from upscaler.arrays import PixelArray

Random = np.random.Generator
Choice = TypeVar("Choice")


def pick(table: dict[Choice, float], random: Random) -> Choice:
    """Returns a key, as often as its value says; the values sum to one."""
    return list(table)[int(random.choice(len(table), p=list(table.values())))]


def to_pixels(values: npt.NDArray[Any]) -> PixelArray:
    """Rounds levels of 0..255, of any type and shape, to uint8; what lies beyond becomes 0 or 255."""
    levels: PixelArray = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return levels
