"""Corrects EXIF blocks in place, whatever file carries them.

Unknown tags stay where they are, so that MakerNotes, whose offsets count from the beginning of the block, remain
readable.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..tiling import Size

SHORT, LONG, RATIONAL = 3, 4, 5
IMAGE_WIDTH, IMAGE_LENGTH, ORIENTATION = 0x0100, 0x0101, 0x0112
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, INCH = 0x011A, 0x011B, 0x0128, 2
EXIF_DIRECTORY, PIXEL_X, PIXEL_Y = 0x8769, 0xA002, 0xA003
THUMBNAIL, THUMBNAIL_BYTES = 0x0201, 0x0202


class Entry(NamedTuple):
    """One row of a directory: 12 bytes at `at`, the last four of which are its value or the offset of it."""

    kind: int
    at: int


def correct_exif(block: bytes, size: Size, dpi: tuple[float, float] | None = None) -> bytes | None:
    """Corrects a block for upright pixels of `size`; returns None if it is not an EXIF block.

    It gets orientation 1, the new size, and `dpi` if it states another one. The thumbnail, which shows the old picture,
    is removed. Tags that are absent are not added.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return None
    data = bytearray(block)
    try:
        (first,) = struct.unpack_from(order + "I", data, 4)
        main = _entries(data, order, first)
        _set(data, order, main, {ORIENTATION: 1, IMAGE_WIDTH: size.width, IMAGE_LENGTH: size.height})
        if EXIF_DIRECTORY in main:
            details = _entries(data, order, _value(data, order, main[EXIF_DIRECTORY]))
            _set(data, order, details, {PIXEL_X: size.width, PIXEL_Y: size.height})
        if dpi is not None:
            _set_resolution(data, order, main, dpi)
        _drop_thumbnail(data, order, first)
    except struct.error:  # the block ends too early, or an offset leads out of it
        return None
    return bytes(data)


def _entries(data: bytearray, order: str, at: int) -> dict[int, Entry]:
    (count,) = struct.unpack_from(order + "H", data, at)
    found = {}
    for row in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", data, row)
        found[tag] = Entry(kind, row)
    return found


def _value(data: bytearray, order: str, entry: Entry) -> int:
    found: tuple[int] = struct.unpack_from(order + ("H" if entry.kind == SHORT else "I"), data, entry.at + 8)
    return found[0]


def _set(data: bytearray, order: str, entries: dict[int, Entry], values: dict[int, int]) -> None:
    """Replaces whole numbers; one that has outgrown its 16 bits becomes a 32-bit one."""
    for tag, value in values.items():
        if tag in entries:
            wide = value > 0xFFFF or entries[tag].kind == LONG
            layout = order + ("HHII" if wide else "HHIHxx")
            struct.pack_into(layout, data, entries[tag].at, tag, LONG if wide else SHORT, 1, value)


def _set_resolution(data: bytearray, order: str, entries: dict[int, Entry], dpi: tuple[float, float]) -> None:
    """Replaces the resolution only if it differs, so that the numbers of a camera stay as they were written."""
    tags = (X_RESOLUTION, Y_RESOLUTION)
    if not all(tag in entries and entries[tag].kind == RATIONAL for tag in tags):
        return
    places = [_value(data, order, entries[tag]) for tag in tags]
    inches = RESOLUTION_UNIT not in entries or _value(data, order, entries[RESOLUTION_UNIT]) == INCH
    stated = [struct.unpack_from(order + "II", data, place) for place in places]
    same = [
        above > 0 and abs(above - new * below) <= 0.01 * above for (above, below), new in zip(stated, dpi, strict=True)
    ]
    if inches and all(same):
        return
    for place, value in zip(places, dpi, strict=True):
        struct.pack_into(order + "II", data, place, round(value * 1000), 1000)
    _set(data, order, entries, {RESOLUTION_UNIT: INCH})


def _drop_thumbnail(data: bytearray, order: str, first: int) -> None:
    """Ends the chain of directories after the first; the second describes the thumbnail, and both are zeroed."""
    (count,) = struct.unpack_from(order + "H", data, first)
    link = first + 2 + 12 * count
    if link + 4 > len(data):  # a block that leaves out the end of its chain
        return
    (second,) = struct.unpack_from(order + "I", data, link)
    struct.pack_into(order + "I", data, link, 0)
    if not 8 <= second <= len(data) - 2:
        return
    (count,) = struct.unpack_from(order + "H", data, second)
    end_of_table = second + 2 + 12 * count + 4
    if end_of_table > len(data):
        return
    entries = _entries(data, order, second)
    data_of = [_value(data, order, entries[tag]) for tag in (THUMBNAIL, THUMBNAIL_BYTES) if tag in entries]
    data[second:end_of_table] = bytes(end_of_table - second)
    if len(data_of) == 2 and 8 <= data_of[0] <= len(data) - data_of[1]:
        start, end = data_of[0], sum(data_of)
        data[start:end] = b"" if end == len(data) else bytes(end - start)
