"""Steps between the blended bands and the canvas: exact size, range, depth.

A step holds only the rows it needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain

import numpy as np

from ..arrays import FloatArray, PixelArray, Pixels
from ..picture import support
from ..tiling import Band, Region, Size, Window
from .base import Writer, surface_of
from .upload import Upload

RESIZED_ROWS = 128
"""Rows of the result made at a time on the host when the size is changed, if they are not too wide."""

WIDE_VALUES = 2**24
"""Most values of the source or of the result that these rows take, so that memory does not grow with the width."""

FEWEST_ROWS = 16
"""Rows made at a time, however wide they are: with fewer, most of the source would be resized several times."""


def resize_bands(bands: Iterable[Band], source: Window, target: Window) -> Iterator[Band]:
    """Resizes bands of the part `source` of a picture to bands of the part `target` of the picture in another size, by
    an antialiased Lanczos filter.

    The values are those of resizing the whole picture at once, if `source` has all that they depend on.
    """
    whole, result = source.whole, target.whole
    if whole == result:
        yield from _inside(bands, source, target)
        return
    ratio = whole.height / result.height
    reach = support(whole.height, result.height)
    x, y, width, height = (getattr(target.region, name) for name in ("x", "y", "width", "height"))
    left, right = (edge * whole.width / result.width - source.region.x for edge in (x, x + width))
    first_band = next(incoming := iter(bands))
    surface = surface_of(first_band.pixels)
    incoming = chain([first_band], incoming)
    values = max(source.size.width, width) * first_band.pixels.shape[2]
    narrow = min(RESIZED_ROWS, max(int(WIDE_VALUES / (values * max(ratio, 1.0))), FEWEST_ROWS))
    most = max(surface.strip_values // values, narrow)
    held: Pixels | None = None
    held_from = 0
    for start in range(0, height, most):
        rows = min(most, height - start)
        top, bottom = ((y + edge) * ratio - source.region.y for edge in (start, start + rows))
        bottom = min(bottom, source.size.height)
        first, last = max(math.floor(top) - reach, 0), min(math.ceil(bottom) + reach, source.size.height)
        parts = [] if held is None else [held[first - held_from :]]
        have = 0 if held is None else held_from + len(held)
        held_from = first
        while have < last:
            band = next(incoming)
            parts.append(band.pixels[max(first - band.y, 0) :])
            have = band.y + len(band.pixels)
        held = parts[0] if len(parts) == 1 else surface.concatenate(parts)
        box = (left, top - held_from, right, bottom - held_from)
        yield Band(start, surface.resize(held[: last - held_from], Size(width, rows), box))


def _inside(bands: Iterable[Band], source: Window, target: Window) -> Iterator[Band]:
    """Yields what of the bands of the part `source` of a picture lies in the smaller part `target`."""
    left, top = target.region.x - source.region.x, target.region.y - source.region.y
    for band in bands:
        first = max(top - band.y, 0)
        part = band.pixels[first : max(top + target.size.height - band.y, 0), left : left + target.size.width]
        if len(part):
            yield Band(band.y + first - top, part)


def mix_bands(bands: Iterable[Band], source: Upload, share: FloatArray, window: Window) -> Iterator[Band]:
    """Mixes bands of a picture with its source of the same size, so that `share` of the difference between them stays.

    `share`: (rows, columns), float32, 0..1, each number for one cell of a grid over the whole picture; between the
    middles of cells it is interpolated. `window` says which part of that picture `source` is.
    """
    surface, part = source.surface, window.region
    for band in bands:
        count = len(band.pixels)
        source.forget(band.y)
        shares = surface.interpolate(share, window.whole, Region(part.x, part.y + band.y, part.width, count))
        plain = surface.to_float(source.rows(band.y, band.y + count))
        yield Band(band.y, plain + shares[:, :, None] * (band.pixels - plain))


def cut_bands(source: Upload) -> Iterator[Band]:
    """Yields a picture as it is, in bands."""
    height, surface = source.shape[0], source.surface
    most = max(surface.strip_values // (source.shape[1] * source.shape[2]), RESIZED_ROWS)
    for y in range(0, height, most):
        source.forget(y)
        yield Band(y, surface.to_float(source.rows(y, min(y + most, height))))


def write_bands(bands: Iterable[Band], canvas: PixelArray) -> None:
    """Writes all bands to a canvas (height, width, channels), clipped to 0..1 and rounded to its whole numbers.

    A band of one channel is written to every channel of the canvas.
    """
    full = int(np.iinfo(canvas.dtype).max)
    with ExitStack() as stack:
        writer: Writer | None = None
        for band in bands:
            surface = surface_of(band.pixels)
            writer = writer or stack.enter_context(surface.writer(canvas))
            writer.write(band.y, surface.round(band.pixels, full))
