"""Value types for sizes and regions, in pixels. Sizes are (width, height)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def scaled(self, factor: int) -> Size:
        return Size(self.width * factor, self.height * factor)

    def transpose(self) -> Size:
        return Size(self.height, self.width)

    def round_up(self, multiple: int) -> Size:
        """Returns the smallest size that is no smaller and whose sides are divisible by `multiple`."""
        return Size(-(-self.width // multiple) * multiple, -(-self.height // multiple) * multiple)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle; x and y may be negative, which means inside the reflected border."""

    x: int
    y: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    def transpose(self) -> Region:
        return Region(self.y, self.x, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a length that is computed with its surroundings."""

    source: slice
    """What is computed: the part and what it sees beside it."""
    inside: slice
    """Where the part lies in the result of that."""
    place: slice
    """Where it lies in the result of the whole length."""


def divide_length(length: int, most: int, reach: int = 0, scale: int = 1) -> list[Part]:
    """Divides a length into the fewest equal parts of at most `most`, of which the last may be smaller.

    Each sees `reach` on both sides, and its result is `scale` times as long.
    """
    step = math.ceil(length / math.ceil(length / most))
    parts = []
    for start in range(0, length, step):
        stop = min(start + step, length)
        first = max(start - reach, 0)
        inside = slice((start - first) * scale, (stop - first) * scale)
        parts.append(Part(slice(first, min(stop + reach, length)), inside, slice(start * scale, stop * scale)))
    return parts
