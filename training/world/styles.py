"""The styles that drawings are given: what they are painted or taken with."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from upscaler.arrays import PixelArray

from ..chance import Random, to_pixels
from .brushes import LINE, PAPER, Floats, Sheet


def grain(side: int, cells: int, random: Random) -> Floats:
    """Draws soft noise with about so many lumps across, of deviation one: (side, side)."""
    coarse = random.standard_normal((cells, cells), np.float32) * np.float32(1.3)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)


@lru_cache
def grid(side: int) -> tuple[Floats, Floats]:
    """Returns the columns and the rows of all pixels: both (side, side)."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    return x, y


def over_paper(picture: Floats, density: Floats) -> Floats:
    """Lets paper through as a wash does: where the density is zero, wholly."""
    paper = np.array(PAPER, np.float32)
    washed: Floats = paper - (paper - picture) * density[:, :, None]
    return washed


def warped(picture: Floats, by: float, random: Random) -> Floats:
    """Moves lines as an unsteady hand does: by some `by` of the side."""
    side = len(picture)
    x, y = (axis + np.float32(by * side) * grain(side, 12, random) for axis in grid(side))
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def watercolour(picture: Floats, relief: Floats, random: Random) -> Floats:
    """Paints pale granulated washes that dry darker at their edges, on paper that shows at the rim."""
    side = len(picture)
    wet: Floats = cv2.GaussianBlur(warped(picture, 0.005, random), (0, 0), side * 0.003).astype(np.float32)
    edges = np.abs(wet - cv2.GaussianBlur(wet, (0, 0), side * 0.016)).max(2)
    lumps = 0.07 * grain(side, 7, random) + 0.04 * grain(side, 40, random)
    x, y = grid(side)
    inside = np.minimum(np.minimum(x, y), side - 1 - np.maximum(x, y)) / side + 0.008 * grain(side, 9, random)
    density: Floats = (0.76 + lumps + np.minimum(edges / 160, 0.35)) * np.clip((inside - 0.045) / 0.015, 0, 1)
    return over_paper(wet, density)


def oil(picture: Floats, relief: Floats, random: Random) -> Floats:
    """Paints short thick strokes of one colour each, each with a lit and a shaded side, on a canvas that shows
    through."""
    side = len(picture)
    x, y = grid(side)
    angle = random.uniform(0.3, 1.2)
    turn, tilt = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    length, width = side * 0.08, side * 0.034
    bent = np.float32(side * 0.008) * grain(side, 6, random)
    across = ((y + bent) * turn - (x - bent) * tilt) / width
    row = np.floor(across)
    along = (x * turn + y * tilt) / length + (row * 0.618) % 1
    column = np.floor(along)
    # Not quite from the middle of a stroke: what is small keeps its shape.
    by_across, by_along = (across - row - 0.5) * width * 0.4, (along - column - 0.5) * length * 0.4
    from_x, from_y = x - by_along * turn + by_across * tilt, y - by_along * tilt - by_across * turn
    painted = cv2.remap(picture, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    pressure = np.sin(row * 12.9898 + column * 78.233)
    ridge = np.cos((across - row) * np.pi)
    weave = np.sin(x * (2 * np.pi / 6)) * np.sin(y * (2 * np.pi / 6))
    brightness = 1 + 0.08 * pressure + 0.1 * ridge + 0.05 * weave
    oily: Floats = (painted * brightness[:, :, None]).astype(np.float32)
    return oily


def ink(picture: Floats, relief: Floats, random: Random) -> Floats:
    """Draws dark outlines and, where it is dark, hatching, over a light wash of the colours that is not quite
    inside."""
    side = len(picture)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (max(3, round(side * 0.018)),) * 2)
    steps = cv2.morphologyEx(picture, cv2.MORPH_GRADIENT, kernel).max(2)
    lines = np.clip((steps - 26) / 16, 0, 1)
    x, y = grid(side)
    hatching = np.clip(np.sin((x + y) * np.float32(2 * np.pi / (side * 0.04))) * 2, 0, 1)
    lines = np.maximum(lines, hatching * np.clip((95 - picture.mean(2)) / 60, 0, 0.8))
    wash = over_paper(warped(picture, 0.01, random), np.float32(0.76) + np.float32(0.05) * grain(side, 6, random))
    drawn: Floats = wash + (np.array(LINE, np.float32) - wash) * lines[:, :, None]
    return drawn


def photograph(picture: Floats, relief: Floats, random: Random) -> Floats:
    """Shows round things in light from the upper left, with shadows; a soft lens, darker at the rim; grain."""
    side = len(picture)
    hill = cv2.GaussianBlur(relief, (0, 0), side * 0.04) * relief
    slope = np.add(*np.gradient(cv2.GaussianBlur(hill, (0, 0), side * 0.02))) * side
    shading = np.clip(slope / 8, -0.5, 0.5) * relief
    move = np.array([[1, 0, side * 0.03], [0, 1, side * 0.04]], np.float32)
    shadow = cv2.GaussianBlur(cv2.warpAffine(relief, move, (side, side)), (0, 0), side * 0.022) * (1 - relief)
    x, y = grid(side)
    rim = (x / side - 0.45) ** 2 + (y / side - 0.4) ** 2
    light = (1.06 - 0.45 * rim) * (1 + shading) * (1 - 0.45 * shadow) * (1 + 0.03 * grain(side, 24, random))
    seen = cv2.GaussianBlur(picture * light[:, :, None], (0, 0), side * 0.006)
    grainy: Floats = seen + 2 * grain(side, side // 3, random)[:, :, None]
    return grainy


STYLES: dict[str, Callable[[Floats, Floats, Random], Floats]] = {
    "watercolour": watercolour,
    "oil": oil,
    "ink": ink,
    "photograph": photograph,
}


def styled(style: str, sheet: Sheet, random: Random) -> PixelArray:
    """Returns the finished drawing in a style of STYLES: uint8 RGB, (side, side, 3)."""
    return to_pixels(STYLES[style](sheet.picture().astype(np.float32), sheet.relief(), random))
