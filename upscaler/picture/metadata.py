"""The metadata of a picture, and their correction once the pixels have changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from ..tiling import Size
from .exif import correct_exif


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

    size: Size | None = field(default=None, compare=False)
    """The size of the upright pixels for which the blocks are right; None if it is not known."""

    def correct(self, size: Size) -> Metadata:
        """Corrects the blocks for upright pixels of `size`: orientation 1, the new size, no old thumbnail.

        What counts pixels of the old size is scaled, and what points to parts of the old file is removed. An invalid
        EXIF block is left out.
        """
        exif = None if self.exif is None else correct_exif(self.exif, size, self.dpi, self.size)
        xmp = None if self.xmp is None else _correct_xmp(self.xmp, size, self.size)
        return replace(self, exif=exif, xmp=xmp, size=size)


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
