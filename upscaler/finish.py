"""Steps between the blended bands and the canvas: exact size, range, depth.

A step holds only the rows it needs; a band's pixels are float32, (rows, full width, channels).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from .arrays import FloatArray, PixelArray, to_float
from .picture import resize, support
from .tiling import Band, Size

RESIZED_ROWS = 128
"""Rows of the result made at a time when the size is changed."""


def resize_bands(bands: Iterable[Band], source: Size, target: Size) -> Iterator[Band]:
    """Resizes bands of a picture of size `source` to bands of size `target` by an antialiased Lanczos filter.

    The values are those of resizing the whole picture at once.
    """
    if source == target:
        yield from bands
        return
    ratio = source.height / target.height
    reach = support(source.height, target.height)
    incoming = iter(bands)
    held: FloatArray | None = None
    held_from = 0
    for y in range(0, target.height, RESIZED_ROWS):
        rows = min(RESIZED_ROWS, target.height - y)
        top, bottom = y * ratio, min((y + rows) * ratio, source.height)
        first, last = max(math.floor(top) - reach, 0), min(math.ceil(bottom) + reach, source.height)
        parts = [] if held is None else [held[first - held_from :]]
        have = 0 if held is None else held_from + len(held)
        held_from = first
        while have < last:
            band = next(incoming)
            parts.append(band.pixels[max(first - band.y, 0) :])
            have = band.y + len(band.pixels)
        held = parts[0] if len(parts) == 1 else np.concatenate(parts)
        box = (0.0, top - held_from, float(source.width), bottom - held_from)
        yield Band(y, resize(held[: last - held_from], Size(target.width, rows), box))


def mix_bands(bands: Iterable[Band], source: PixelArray, share: FloatArray) -> Iterator[Band]:
    """Mixes bands of a picture with its source of the same size, so that `share` of the difference between them stays.

    `share`: (rows, columns), float32, 0..1, each number for one cell of a grid over the whole picture; between the
    middles of cells it is interpolated.
    """
    height, width, _ = source.shape
    rows, columns = share.shape
    for band in bands:
        count = len(band.pixels)
        step = (columns / width, rows / height)
        matrix = np.array([[step[0], 0, step[0] / 2 - 0.5], [0, step[1], step[1] * (band.y + 0.5) - 0.5]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        shares = cv2.warpAffine(share, matrix, (width, count), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        plain = to_float(source[band.y : band.y + count])
        yield Band(band.y, plain + shares[:, :, None] * (band.pixels - plain))


def cut_bands(pixels: PixelArray) -> Iterator[Band]:
    """Yields a picture as it is, in bands."""
    for y in range(0, len(pixels), RESIZED_ROWS):
        yield Band(y, to_float(pixels[y : y + RESIZED_ROWS]))


def write_bands(bands: Iterable[Band], canvas: PixelArray) -> None:
    """Writes all bands to a canvas (height, width, channels), clipped to 0..1 and rounded to its whole numbers.

    A band of one channel is written to every channel of the canvas.
    """
    full = float(np.iinfo(canvas.dtype).max)
    code = cv2.CV_16U if canvas.dtype == np.uint16 else cv2.CV_8U
    for band in bands:
        # addWeighted is OpenCV's one call that scales, rounds and saturates at once; the second operand has no weight.
        whole = cv2.addWeighted(band.pixels, full, band.pixels, 0.0, 0.0, dtype=code)
        canvas[band.y : band.y + len(band.pixels)] = whole.reshape(band.pixels.shape)
