"""The eight orientations of EXIF: where they are stated, and as views of an array, of which no pixel is copied."""

from __future__ import annotations

import re
from dataclasses import replace

from ..picture import Metadata, Picture
from ..tiling import Size
from . import tiff_exif

TAG = 0x0112
IN_XMP = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])")
TURNS = (b"irot", b"imir")
"""Boxes by which decoders of AVIF and HEIF turn a picture themselves."""


def find(metadata: Metadata) -> int:
    """Returns the orientation that EXIF states, or else XMP, as viewers and Pillow take it; 1 if neither does."""
    stated = tiff_exif.read_number(metadata.exif, TAG) if metadata.exif else 0
    found = IN_XMP.search(metadata.xmp or b"")
    return stated or (int(found[1]) if found else 1)


def find_in_heif(metadata: Metadata, head: bytes) -> int:
    """Returns the orientation of an AVIF or HEIF file, whose EXIF does not count: its own boxes do, or else XMP."""
    return 1 if metadata.exif or any(box in head for box in TURNS) else find(metadata)


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
    metadata = replace(metadata, size=Size(pixels.shape[1], pixels.shape[0]))
    return replace(picture, pixels=pixels, metadata=metadata)
