"""Metadata that libvips neither reads nor writes as it should, read from and put into the files themselves.

libvips passes EXIF through a library that drops every tag it does not know, MakerNotes too, and invents others; it
writes no IPTC into PNG and damages it in TIFF. So it gets neither, and both are put in afterwards, byte for byte.
"""

from __future__ import annotations

import io
import mmap
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pyvips

from ..files import atomic_write
from ..notices import warn
from ..picture import Metadata
from . import iptc, png_texts, tiff_exif
from .connections import open_source
from .tiff_exif import Directory, Value

LARGEST_SEGMENT = 0xFFFF - 2
"""Bytes in one segment of a JPEG file."""

LARGEST_EXIF = 65000
"""Bytes of an EXIF block in WebP and AVIF files; libvips leaves out longer ones."""

RESOLUTION = (0x011A, 0x011B)
UNIT, INCH, NO_UNIT = 0x0128, struct.pack("<H", 2), struct.pack("<H", 1)

JPEG_HEAD = 2**18
"""Bytes of a JPEG file in which the list of its pictures is looked for, behind profile and metadata."""

PNG_HEAD = 2**20
"""Bytes of a PNG file in which its resolution is looked for, behind its profile."""


def from_png(file: BinaryIO, metadata: Metadata) -> Metadata:
    """Adds the texts of a PNG file, and EXIF and IPTC that are stored as one, as ImageMagick does."""
    texts = png_texts.read(file)
    records, *blocks = (png_texts.take_profile(texts, name) or b"" for name in ("iptc", "exif", "APP1"))
    exif = next((block.removeprefix(b"Exif\0\0") for block in (metadata.exif, *blocks) if block), None)
    return replace(metadata, exif=exif, iptc=iptc.find_records(records), comments=texts)


def from_tiff(file: BinaryIO, metadata: Metadata) -> Metadata:
    """Replaces EXIF and IPTC by those of the file's first directory."""
    directory = tiff_exif.read(file)
    records = directory.pop(tiff_exif.IPTC, None)
    return replace(
        metadata,
        exif=tiff_exif.make_block(directory) if directory else None,
        iptc=records.data if isinstance(records, Value) else None,
    )


def reserve_exif_space(metadata: Metadata) -> bytes | None:
    """Returns an EXIF block of one comment for libvips to write into WebP and AVIF files, which cannot grow later.

    `fill_exif_space` replaces it by the real block. The comment is as long as that; libvips adds a little more.
    """
    block = _add_resolution(metadata)
    if block is None:
        return None
    if len(block) > LARGEST_EXIF:
        warn("the EXIF block of %d bytes is too long for this format; it is left out.", len(block))
        return None
    comment = b"ASCII\0\0\0" + b" " * len(block)
    return tiff_exif.make_block({0x8769: {0x9286: Value(7, len(comment), comment)}})


def fill_exif_space(metadata: Metadata, path: Path) -> None:
    """Puts the EXIF block into the space that `reserve_exif_space` has left in a WebP or AVIF file."""
    block = _add_resolution(metadata)
    image = pyvips.Image.new_from_source(open_source(path), "")
    if block is None or not image.get_typeof("exif-data"):
        return
    space = bytes(image.get("exif-data")).removeprefix(b"Exif\0\0")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        at = whole.find(space)
        assert at >= 0
        start = at - 6 if whole[:4] == b"RIFF" else at  # libvips begins with "Exif\0\0" there, which is JPEG's alone
        file.seek(start)  # written in the mapping it would kill this process where the disk is full
        file.write(block.ljust(at + len(space) - start, b"\0"))


def _add_resolution(metadata: Metadata) -> bytes | None:
    """Returns the EXIF block, with the resolution added if it lacks one: WebP and AVIF have no other place for it."""
    if metadata.dpi is None or (metadata.exif and RESOLUTION[0] in tiff_exif.read_tags(io.BytesIO(metadata.exif))):
        return metadata.exif
    across, down = (Value(5, 1, struct.pack("<II", round(value * 1000), 1000)) for value in metadata.dpi)
    resolution: Directory = {RESOLUTION[0]: across, RESOLUTION[1]: down, UNIT: Value(3, 1, INCH)}
    if metadata.exif is None:
        return tiff_exif.make_block(resolution)
    file = io.BytesIO(metadata.exif)
    tiff_exif.add(file, resolution)
    return file.getvalue()


def into_jpeg(metadata: Metadata, path: Path) -> None:
    """Puts resolution, EXIF and IPTC into a JPEG file."""
    across, down = (min(max(round(value), 1), 0xFFFF) for value in metadata.dpi or (1, 1))
    segments = _segment(0xE0, b"JFIF\0" + struct.pack(">HBHHxx", 0x0102, metadata.dpi is not None, across, down))
    if metadata.exif is not None:
        segments += _segment(0xE1, b"Exif\0\0" + metadata.exif)
    if metadata.iptc is not None:
        segments += _segment(0xED, iptc.make_resources(metadata.iptc))
    if len(metadata.xmp or b"") > LARGEST_SEGMENT - 29:
        warn("the XMP block of %d bytes is too long for JPEG; it is left out.", len(metadata.xmp or b""))
    if metadata.gain_map is None:
        _insert(path, 2, segments)
        return
    if metadata.xmp is not None and len(metadata.xmp) <= LARGEST_SEGMENT - 29:
        segments += _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + metadata.xmp)  # libvips leaves it out
    _insert_before_gain_map(path, segments)


def _insert_before_gain_map(path: Path, segments: bytes) -> None:
    """Puts segments into a JPEG file with a gain map, in place of the EXIF block that libvips makes up there.

    The size of the picture in the list of pictures behind it is corrected (CIPA DC-007, 5.2.3.3); places count from
    that list, which moves together with them.
    """
    with path.open("rb") as file:
        head = file.read(JPEG_HEAD)
    made_up = 2 + int.from_bytes(head[4:6], "big") if head[2:4] == b"\xff\xe1" and head[6:10] == b"Exif" else 0
    _insert(path, 2, segments, made_up)
    at = head.find(b"MPF\0MM\0*")
    if at >= 0:
        at += 4 + int.from_bytes(head[at + 46 : at + 50], "big") + 4
        size = int.from_bytes(head[at : at + 4], "big") + len(segments) - made_up
        with path.open("r+b") as file:
            file.seek(at + len(segments) - made_up)
            file.write(size.to_bytes(4, "big"))


def _segment(marker: int, data: bytes) -> bytes:
    if len(data) > LARGEST_SEGMENT:
        kind = "EXIF" if marker == 0xE1 else "IPTC"
        warn("the %s block of %d bytes is too long for JPEG; it is left out.", kind, len(data))
        return b""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def into_png(metadata: Metadata, path: Path) -> None:
    """Puts EXIF, IPTC and texts into a PNG file, and takes away the unit of a resolution that none has stated."""
    if metadata.dpi is None:
        with path.open("r+b") as file:
            start = file.read(PNG_HEAD).find(b"\0\0\0\x09pHYs")
            if start >= 0:
                file.seek(start)
                file.write(png_texts.make_chunk(b"pHYs", struct.pack(">IIB", 1, 1, 0)))
    _insert(path, 33, png_texts.make_chunks(metadata.exif, metadata.iptc, metadata.comments))


def into_tiff(metadata: Metadata, path: Path) -> None:
    """Puts EXIF and IPTC into the first directory of a TIFF file, and takes away the unit of a resolution that none has
    stated."""
    directory: dict[int, Value | Directory] = tiff_exif.read(io.BytesIO(metadata.exif)) if metadata.exif else {}
    if metadata.dpi is None:
        directory[UNIT] = Value(3, 1, NO_UNIT)
    if metadata.iptc is not None:
        directory[tiff_exif.IPTC] = Value(7, len(metadata.iptc), metadata.iptc)
    if directory:
        with path.open("r+b") as file:
            tiff_exif.add(file, directory)


def _insert(path: Path, at: int, data: bytes, skipped: int = 0) -> None:
    """Inserts bytes into a file, whole or not at all, in place of as many as are `skipped`."""
    if not data:
        return

    def copy(longer: Path) -> None:
        with path.open("rb") as old, longer.open("wb") as new:
            new.write(old.read(at) + data)
            old.seek(at + skipped)
            shutil.copyfileobj(old, new, 2**20)

    atomic_write(path, copy)
