"""Corrects EXIF blocks in place, whatever file carries them.

Unknown tags stay where they are, so that MakerNotes, whose offsets count from the beginning of the block, remain
readable.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import NamedTuple

from ..tiling import Size, Window

SHORT, LONG, RATIONAL = 3, 4, 5
IMAGE_WIDTH, IMAGE_LENGTH, ORIENTATION = 0x0100, 0x0101, 0x0112
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, INCH = 0x011A, 0x011B, 0x0128, 2
EXIF_DIRECTORY, PIXEL_X, PIXEL_Y = 0x8769, 0xA002, 0xA003
THUMBNAIL, THUMBNAIL_BYTES = 0x0201, 0x0202
SUBJECT_AREA, SUBJECT_LOCATION = 0x9214, 0xA214
FOCAL_X, FOCAL_Y = 0xA20E, 0xA20F
"""The pixels of a unit of the sensor, across and down."""


class Entry(NamedTuple):
    """One row of a directory: 12 bytes at `at`, the last four of which are its value or the offset of it."""

    kind: int
    at: int


def correct_exif(
    block: bytes, size: Size, dpi: tuple[float, float] | None = None, old: Window | None = None
) -> bytes | None:
    """Corrects a block for upright pixels of `size`; returns None if it is not an EXIF block.

    It gets orientation 1, the new size, and `dpi` if it states another one. The thumbnail, which shows the old picture,
    is removed. Tags that are absent are not added. If it is known which part of the upright `old` picture is left,
    places and resolutions on the sensor that count its pixels are turned, moved and scaled.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return None
    data = bytearray(block)
    try:
        (first,) = struct.unpack_from(order + "I", data, 4)
        main = _entries(data, order, first)
        orientation = _value(data, order, main[ORIENTATION]) if ORIENTATION in main else 1
        _set(data, order, main, {ORIENTATION: 1, IMAGE_WIDTH: size.width, IMAGE_LENGTH: size.height})
        if EXIF_DIRECTORY in main:
            details = _entries(data, order, _value(data, order, main[EXIF_DIRECTORY]))
            _set(data, order, details, {PIXEL_X: size.width, PIXEL_Y: size.height})
            if old is not None:
                _scale_places(data, order, details, old, size, orientation)
                _scale_focal_plane(data, order, details, old, size, orientation)
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


def _scale_places(
    data: bytearray, order: str, entries: dict[int, Entry], old: Window, new: Size, orientation: int
) -> None:
    """Turns, moves and scales the place of the subject: a point, with a diameter or with width and height."""
    part = old.region
    across, down = new.width / part.width, new.height / part.height
    for tag in (SUBJECT_AREA, SUBJECT_LOCATION):
        if tag not in entries or entries[tag].kind != SHORT:
            continue
        (count,) = struct.unpack_from(order + "I", data, entries[tag].at + 4)
        if count not in (2, 3, 4):
            continue
        at = entries[tag].at + 8
        if count > 2:
            (at,) = struct.unpack_from(order + "I", data, at)
        x, y, *extent = struct.unpack_from(f"{order}{count}H", data, at)
        if orientation in (5, 6, 7, 8):
            x, y, extent = y, x, extent[::-1]
        if orientation in (2, 3, 6, 7):
            x = old.whole.width - 1 - x
        if orientation in (3, 4, 7, 8):
            y = old.whole.height - 1 - y
        factors = (across, down, *((across, down) if count == 4 else [(across + down) / 2] * (count - 2)))
        scaled = [
            round(value * factor) for value, factor in zip((x - part.x, y - part.y, *extent), factors, strict=True)
        ]
        struct.pack_into(f"{order}{count}H", data, at, *(min(max(value, 0), 0xFFFF) for value in scaled))


def _scale_focal_plane(
    data: bytearray, order: str, entries: dict[int, Entry], old: Window, new: Size, orientation: int
) -> None:
    """Turns and scales how many pixels a unit of the sensor has."""
    factors = {FOCAL_X: Fraction(new.width, old.size.width), FOCAL_Y: Fraction(new.height, old.size.height)}
    places = {
        tag: _value(data, order, entries[tag]) for tag in factors if tag in entries and entries[tag].kind == RATIONAL
    }
    values = [struct.unpack_from(order + "II", data, place) for place in places.values()]
    turned = values[::-1] if orientation in (5, 6, 7, 8) else values
    for (tag, place), (above, below) in zip(places.items(), turned, strict=True):
        scaled = factors[tag] * Fraction(above, below or 1)
        if below and scaled < 2**31:
            scaled = scaled.limit_denominator(min(2**31 // (int(scaled) + 1), 10**6))
            struct.pack_into(order + "II", data, place, scaled.numerator, scaled.denominator)


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
