"""The eight orientations of EXIF, as views of an array: no pixel is copied."""

from __future__ import annotations

from ..arrays import PixelArray


def swaps_sides(orientation: int) -> bool:
    """Whether an orientation exchanges width and height."""
    return orientation in (5, 6, 7, 8)


def turn_upright(pixels: PixelArray, orientation: int) -> PixelArray:
    """Turns stored pixels the way they are to be seen. Values that EXIF does not define count as 1, "upright"."""
    if swaps_sides(orientation):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
