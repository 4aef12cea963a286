"""The metadata of a picture, and their correction once the pixels have changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ..arrays import PixelArray, to_float
from ..tiling import Size
from .exif import correct_exif
from .resample import resize


@dataclass(frozen=True, slots=True, eq=False)
class GainMap:
    """How much brighter each place is where a display can show it, beside a picture of ordinary range."""

    pixels: PixelArray
    """uint8, (height, width, 1 or 3), upright; smaller than the picture, over which it is stretched."""
    settings: Mapping[str, Any]
    """What the values mean, as libvips names it ("gainmap-gamma" and others)."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Raw blocks as the formats carry them, without their containers' headers; None where there is none."""

    exif: bytes | None = None
    """A TIFF structure, without the leading "Exif\\0\\0"."""
    xmp: bytes | None = None
    iptc: bytes | None = None
    """IPTC-IIM records, without the Photoshop image resources that hold them in a JPEG."""
    dpi: tuple[float, float] | None = None
    """Pixels an inch, horizontally and vertically."""
    comments: Mapping[str, str] = field(default_factory=dict)
    """Keyed texts of a PNG."""

    gain_map: GainMap | None = None
    size: Size | None = field(default=None, compare=False)
    """The size of the upright pixels for which the blocks are right; None if it is not known."""

    def correct(self, size: Size) -> Metadata:
        """Corrects the blocks for upright pixels of `size`: orientation 1, the new size, no old thumbnail.

        What counts pixels of the old size is scaled, and what points to parts of the old file is removed. An invalid
        EXIF block is left out.
        """
        exif = None if self.exif is None else correct_exif(self.exif, size, self.dpi, self.size)
        xmp = None if self.xmp is None else _correct_xmp(self.xmp, size, self.size)
        gain_map = None if self.gain_map is None else _enlarge(self.gain_map, size, self.size)
        return replace(self, exif=exif, xmp=xmp, gain_map=gain_map, size=size)


def _enlarge(gain_map: GainMap, size: Size, old: Size | None) -> GainMap:
    """Enlarges a gain map as much as its picture, by a plain filter."""
    if old is None or old == size:
        return gain_map
    height, width, _ = gain_map.pixels.shape
    new = Size(max(round(width * size.width / old.width), 1), max(round(height * size.height / old.height), 1))
    pixels = resize(to_float(gain_map.pixels), new).clip(0, 1)
    return replace(gain_map, pixels=np.rint(pixels * 255).astype(np.uint8))


ACROSS = ("FullPanoWidthPixels", "CroppedAreaImageWidthPixels", "CroppedAreaLeftPixels")
DOWN = ("FullPanoHeightPixels", "CroppedAreaImageHeightPixels", "CroppedAreaTopPixels")
"""Numbers of pixels in Google's description of a panorama."""

GONE = (
    rb"(?:GCamera|Camera):(?:MotionPhoto|MicroVideo)\w*",  # the film behind a photograph
    rb"hdrgm:\w+|HDRGainMap:\w+",  # its gain map
    rb"(?:GContainer|Container):Directory",  # what else is in the file
    rb"exif:SubjectArea|exif:SubjectLocation|exif:FocalPlane[XY]Resolution",  # EXIF has them, corrected
    rb"xmp:Thumbnails",
)
"""Names in XMP of what is not in the new file, or does not fit it."""


def _correct_xmp(xmp: bytes, size: Size, old: Size | None) -> bytes:
    """Replaces values in the text, so that everything else stays byte for byte."""
    values = {
        b"tiff:Orientation": b"1",
        b"tiff:ImageWidth": b"%d" % size.width,
        b"tiff:ImageLength": b"%d" % size.height,
        b"exif:PixelXDimension": b"%d" % size.width,
        b"exif:PixelYDimension": b"%d" % size.height,
    }
    for name, value in values.items():
        xmp = re.sub(rb"(\b%s\s*=\s*[\"'])[^\"']*" % name, rb"\g<1>" + value, xmp)
        xmp = re.sub(rb"(<%s>)[^<]*" % name, rb"\g<1>" + value, xmp)
    for name in GONE:
        xmp = re.sub(rb"<(%s)(?:\s[^>]*)?(?:/>|>.*?</\1>)" % name, b"", xmp, flags=re.DOTALL)
        xmp = re.sub(rb"\s(?:%s)\s*=\s*(?:\"[^\"]*\"|'[^']*')" % name, b"", xmp)
    if old is not None:
        for names, factor in ((ACROSS, size.width / old.width), (DOWN, size.height / old.height)):
            for known in names:
                found = rb"(GPano:%s(?:\s*=\s*[\"']|>)\s*)(\d{1,9})" % known.encode()
                xmp = re.sub(found, partial(_scale, factor), xmp)
    return xmp


def _scale(factor: float, found: re.Match[bytes]) -> bytes:
    return found[1] + b"%d" % round(int(found[2]) * factor)
