"""Splits a picture into what is computed by itself: its colour, of one channel if it is grey, and its transparency."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays import PixelArray
from ..tiling import Size
from .alpha import bleed
from .canvas import allocate, strips
from .picture import Picture


@dataclass(frozen=True, slots=True)
class Layer:
    """Channels of a picture that are computed by themselves: its colour, or its transparency."""

    pixels: PixelArray
    """(height, width, channels): 3 for colour, 1 for transparency and for colour that is grey everywhere."""
    is_alpha: bool
    channels: slice
    """Where they lie in the picture, and in the result."""


def split_layers(picture: Picture, workspace: Path | None, is_grey: bool | None = None) -> list[Layer]:
    """Returns transparency, if there is any, and colour, which is bled into places where it cannot be seen. `is_grey`
    says whether colour is one channel; None finds out."""
    layers = []
    colour, place = picture.colour, slice(None)
    if picture.has_alpha:
        alpha, place = picture.pixels[:, :, -1:], slice(None, -1)
        layers.append(Layer(alpha, True, slice(-1, None)))
        colour = bleed(colour, alpha, workspace)
    if is_grey is None:
        colour = _grey_or_colour(colour)
    elif is_grey:
        colour = colour[:, :, :1]
    return [*layers, Layer(colour, False, place)]


def _grey_or_colour(pixels: PixelArray) -> PixelArray:
    """Returns one channel of the three if they are the same everywhere, as in a grey photograph stored as RGB."""
    if pixels.shape[2] != 3:
        return pixels
    for strip in strips(len(pixels)):
        rows = pixels[strip]
        if (rows[:, :, 0] != rows[:, :, 1]).any() or (rows[:, :, 0] != rows[:, :, 2]).any():
            return pixels
    return pixels[:, :, :1]


def make_canvas(picture: Picture, size: Size, depth: int, workspace: Path | None) -> PixelArray:
    """Returns an array for a result: (height, width, channels of the picture), uint8 or uint16."""
    dtype = np.uint16 if depth == 16 else np.uint8
    return allocate((size.height, size.width, picture.pixels.shape[2]), dtype, workspace)
