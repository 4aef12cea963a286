"""The metadata of a picture, and their correction once the pixels have changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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

    def correct(self, size: Size) -> Metadata:
        """Corrects the blocks for upright pixels of `size`: orientation 1, the new size, no old thumbnail.

        An invalid EXIF block is left out.
        """
        exif = None if self.exif is None else correct_exif(self.exif, size, self.dpi)
        xmp = None if self.xmp is None else _correct_xmp(self.xmp, size)
        return replace(self, exif=exif, xmp=xmp)


def _correct_xmp(xmp: bytes, size: Size) -> bytes:
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
    return re.sub(rb"<xmp:Thumbnails>.*?</xmp:Thumbnails>", b"", xmp, flags=re.DOTALL)
