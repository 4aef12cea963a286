"""What a file says about its picture beside the pixels, and what must be put right once the pixels have changed."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..tiling import Size


@dataclass(frozen=True, slots=True)
class Metadata:
    """Raw blocks as the formats carry them, without their containers' headers; None where there is none."""

    exif: bytes | None = None
    """A TIFF structure, without the leading "Exif\\0\\0"."""
    xmp: bytes | None = None
    iptc: bytes | None = None
    """IPTC-IIM records inside Photoshop image resources, as in a JPEG's APP13."""
    dpi: tuple[float, float] | None = None
    """Pixels an inch, horizontally and vertically."""
    comments: Mapping[str, str] = field(default_factory=dict)
    """Keyed texts of a PNG."""

    def put_right(self, size: Size) -> Metadata:
        """For pixels that are upright and of `size`: no thumbnail of the old picture, orientation 1, the new size.

        The EXIF block's own orientation and size are written by the encoders.
        """
        exif = None if self.exif is None else _without_thumbnail(self.exif)
        xmp = None if self.xmp is None else _corrected_xmp(self.xmp, size)
        return replace(self, exif=exif, xmp=xmp)


def _without_thumbnail(exif: bytes) -> bytes:
    """The same block with its chain of directories cut after the first: the second describes the thumbnail."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        if order is None:
            return exif
        (first,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, first)
        link = first + 2 + 12 * entries
        struct.unpack_from(order + "I", exif, link)
    except struct.error:
        return exif
    return exif[:link] + bytes(4) + exif[link + 4 :]


def _corrected_xmp(xmp: bytes, size: Size) -> bytes:
    values = {
        b"tiff:Orientation": b"1",
        b"tiff:ImageWidth": b"%d" % size.width,
        b"tiff:ImageLength": b"%d" % size.height,
        b"exif:PixelXDimension": b"%d" % size.width,
        b"exif:PixelYDimension": b"%d" % size.height,
    }
    for name, value in values.items():
        xmp = re.sub(rb"(%s\s*=\s*[\"'])[^\"']*" % name, rb"\g<1>" + value, xmp)
        xmp = re.sub(rb"(<%s>)[^<]*" % name, rb"\g<1>" + value, xmp)
    return xmp
