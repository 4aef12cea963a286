"""Brings the source of a pass to a surface, once and as whole numbers."""

from __future__ import annotations

from ..arrays import FloatArray, PixelArray, Pixels
from .base import Surface
from .host import HOST


class Upload:
    """The rows of a source, each brought to a surface when it is first needed and kept until nobody needs it.

    On the host they are the source's own rows. Used from one thread.
    """

    def __init__(self, pixels: PixelArray | FloatArray, surface: Surface = HOST) -> None:
        """Takes a picture (height, width, channels), which may be a memory-mapped file."""
        self.shape: tuple[int, int, int] = pixels.shape
        self.surface = surface
        self._pixels = pixels
        values = surface.strip_values
        self._rows = max(values // (pixels.shape[1] * pixels.shape[2]), 1) if values else len(pixels)
        self._strips: dict[int, Pixels] = {}

    def rows(self, first: int, last: int) -> Pixels:
        """Returns the rows first..last-1, whole numbers as they are, or floats if the source consists of them."""
        numbers = range(first // self._rows, (last - 1) // self._rows + 1)
        for number in numbers:
            if number not in self._strips:
                part = self._pixels[number * self._rows : (number + 1) * self._rows]
                self._strips[number] = self.surface.bring(part)
        strips = [self._strips[number] for number in numbers]
        joined = strips[0] if len(strips) == 1 else self.surface.concatenate(strips)
        top = numbers[0] * self._rows
        return joined[first - top : last - top]

    def forget(self, before: int) -> None:
        """Frees the rows above row `before`, but for some that tiles may still begin with."""
        for number in [number for number in self._strips if (number + 2) * self._rows <= before]:
            del self._strips[number]
