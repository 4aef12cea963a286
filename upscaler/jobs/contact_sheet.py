"""The contact sheet: one picture with small copies of many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import codecs
from ..picture import Picture
from ..surface import Upload, cut_bands, resize_bands, write_bands
from ..tiling import Size, Window

CELL = 320
"""Pixels of the longer side of each picture."""

GAP = 8
"""White pixels between the pictures, and around them."""


def make_sheet(files: Sequence[Path]) -> Picture:
    """Returns a sheet of the pictures, in rows in their order, on white: 8 bits, RGB, about as many columns as rows.

    Only one at a time is in memory in its full size. Raises PictureError when one of them cannot be read.
    """
    columns = math.ceil(math.sqrt(len(files)))
    cells = [_shrink(codecs.decode(file)) for file in files]
    side = Size(max(cell.shape[1] for cell in cells), max(cell.shape[0] for cell in cells))
    rows = -(-len(cells) // columns)
    size = Size(columns * (side.width + GAP) + GAP, rows * (side.height + GAP) + GAP)
    pixels = np.full((size.height, size.width, 3), 255, np.uint8)
    for index, cell in enumerate(cells):
        height, width = cell.shape[:2]
        y = GAP + index // columns * (side.height + GAP) + (side.height - height) // 2
        x = GAP + index % columns * (side.width + GAP) + (side.width - width) // 2
        pixels[y : y + height, x : x + width] = cell
    return Picture(pixels, name="contact sheet")


def _shrink(picture: Picture) -> NDArray[np.uint8]:
    """Returns the pixels as (height, width, 3), uint8; small pictures keep their size."""
    factor = min(CELL / max(picture.size.width, picture.size.height), 1.0)
    size = Size(max(round(picture.size.width * factor), 1), max(round(picture.size.height * factor), 1))
    pixels = np.empty((size.height, size.width, 3), np.uint8)
    write_bands(resize_bands(cut_bands(Upload(picture.pixels)), Window.all(picture.size), Window.all(size)), pixels)
    return pixels
