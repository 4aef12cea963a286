"""Keeps an enlarged alpha channel free of halos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..tiling import Band
from .upload import Upload


def within_source(bands: Iterable[Band], alpha: Upload, scale: int) -> Iterator[Band]:
    """Yields the bands of an enlarged alpha channel, each pixel kept between the least and the greatest source value
    around it, so that opaque areas stay opaque and empty ones empty. Pixels are 0..1. Bands may begin and end inside a
    row of the source."""
    surface = alpha.surface
    for band in bands:
        top, bottom = band.y // scale, -(-(band.y + len(band.pixels)) // scale)
        first, last = max(top - 1, 0), min(bottom + 1, alpha.shape[0])
        alpha.forget(first)
        low, high = surface.extremes(surface.to_float(alpha.rows(first, last)), scale)
        start = band.y - first * scale
        inside = slice(start, start + len(band.pixels))
        yield Band(band.y, surface.to_float(band.pixels).clip(low[inside], high[inside]))
