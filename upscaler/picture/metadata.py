"""The metadata of a picture, and their correction once the pixels have changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ..arrays import PixelArray, to_float
from ..tiling import Region, Size, Window
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
    crop: Region | None = field(default=None, compare=False)
    """The part of these pixels that is left; None: all of them."""

    def correct(self, size: Size) -> Metadata:
        """Corrects the blocks for upright pixels of `size`: orientation 1, the new size, no old thumbnail.

        What counts pixels of the old size is moved as the picture was cropped, and scaled. What points to parts of the
        old file is removed. An invalid EXIF block is left out.
        """
        whole = None if self.size is None else Window.all(self.size)
        old = whole if whole is None or self.crop is None else Window(whole.whole, self.crop)
        exif = None if self.exif is None else correct_exif(self.exif, size, self.dpi, old)
        xmp = None if self.xmp is None else _correct_xmp(self.xmp, size, old)
        gain_map = None if self.gain_map is None else _enlarge(self.gain_map, size, old)
        return replace(self, exif=exif, xmp=xmp, gain_map=gain_map, size=size, crop=None)

    def crop_to(self, region: Region, size: Size) -> Metadata:
        """Returns the metadata of a part of a picture, which has `size` pixels."""
        return replace(self.correct(size), crop=region)


def _enlarge(gain_map: GainMap, size: Size, old: Window | None) -> GainMap:
    """Crops a gain map as its picture was, and enlarges it as much, by a plain filter."""
    if old is None or old == Window.all(size):
        return gain_map
    height, width, _ = gain_map.pixels.shape
    whole, part = old.whole, old.region
    across, down = width / whole.width, height / whole.height
    new = Size(
        max(round(across * part.width * (size.width / part.width)), 1),
        max(round(down * part.height * (size.height / part.height)), 1),
    )
    box = (part.x * across, part.y * down, (part.x + part.width) * across, (part.y + part.height) * down)
    pixels = resize(to_float(gain_map.pixels), new, None if old == Window.all(whole) else box).clip(0, 1)
    return replace(gain_map, pixels=np.rint(pixels * 255).astype(np.uint8))


ACROSS = ("FullPanoWidthPixels", "CroppedAreaImageWidthPixels", "CroppedAreaLeftPixels")
DOWN = ("FullPanoHeightPixels", "CroppedAreaImageHeightPixels", "CroppedAreaTopPixels")
"""Numbers of pixels in Google's description of a panorama: all of it, and what of that is there, from where on."""

GONE = (
    rb"(?:GCamera|Camera):(?:MotionPhoto|MicroVideo)\w*",  # the film behind a photograph
    rb"hdrgm:\w+|HDRGainMap:\w+",  # its gain map
    rb"(?:GContainer|Container):Directory",  # what else is in the file
    rb"exif:SubjectArea|exif:SubjectLocation|exif:FocalPlane[XY]Resolution",  # EXIF has them, corrected
    rb"xmp:Thumbnails",
)
"""Names in XMP of what is not in the new file, or does not fit it."""


def _correct_xmp(xmp: bytes, size: Size, old: Window | None) -> bytes:
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
        whole, part = old.whole, old.region
        across = (0, part.width - whole.width, part.x), size.width / part.width
        down = (0, part.height - whole.height, part.y), size.height / part.height
        for names, (steps, factor) in ((ACROSS, across), (DOWN, down)):
            for known, step in zip(names, steps, strict=True):
                found = rb"(GPano:%s(?:\s*=\s*[\"']|>)\s*)(\d{1,9})" % known.encode()
                xmp = re.sub(found, partial(_move, step, factor), xmp)
    return xmp


def _move(step: int, factor: float, found: re.Match[bytes]) -> bytes:
    return found[1] + b"%d" % max(round((int(found[2]) + step) * factor), 0)
