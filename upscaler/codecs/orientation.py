"""The eight orientations of EXIF, as views of an array: no pixel is copied."""

from __future__ import annotations

from dataclasses import replace

from ..picture import Picture


def turn_upright(picture: Picture, orientation: int) -> Picture:
    """Turns stored pixels, and the resolution, upright by an EXIF orientation, 1 to 8. Other values count as 1, which
    changes nothing."""
    pixels, metadata = picture.pixels, picture.metadata
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
        metadata = replace(metadata, dpi=metadata.dpi and metadata.dpi[::-1])
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return replace(picture, pixels=pixels, metadata=metadata)
