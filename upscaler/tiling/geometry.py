"""Value types for sizes and regions, in pixels. Sizes are (width, height)."""

from __future__ import annotations

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
