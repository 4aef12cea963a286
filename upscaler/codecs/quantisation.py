"""How coarsely JPEG and WebP files were quantised, which tells how much a picture was compressed."""

from __future__ import annotations

import struct
from typing import BinaryIO

from ..picture import jpeg_quality

TABLES, SCAN = 0xDB, 0xDA
"""Markers of JPEG (ITU-T T.81, annex B) of the segments with tables, and of the pixels, before which tables come."""
FRAME = 1 << 16
"""Bytes of a WebP file in which the header of its picture is looked for."""


def find_jpeg_quality(file: BinaryIO) -> int | None:
    """Finds the quality, 1 to 100, from the table for brightness; None if there is no table before the pixels."""
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] != SCAN:
        segment = file.read(max(struct.unpack(">H", head[2:])[0] - 2, 0))
        while head[1] == TABLES and segment:
            size = 128 if segment[0] >> 4 else 64
            if segment[0] & 15 == 0 and len(segment) > size:
                return jpeg_quality(struct.unpack(">64H" if size == 128 else "64B", segment[1 : 1 + size]))
            segment = segment[1 + size :]
    return None


def find_webp_quality(file: BinaryIO) -> int | None:
    """Finds the quality, 0 to 100, with which libwebp writes such quantisers; None for a lossless file.

    The quantisers are in the header of the VP8 key frame (RFC 6386, sections 9 and 19.2). libwebp makes them of the
    cube root of its quality, and spreads those of segments around that.
    """
    file.seek(0)
    data = file.read(FRAME)
    start = data.find(b"VP8 ")
    frame = data[start + 8 :]
    if start < 0 or len(frame) < 40 or frame[3:6] != b"\x9d\x01\x2a":
        return None
    bits = _Bits(frame[10:74])  # more than the header can take
    quantisers, is_absolute = _segments(bits)
    bits.number(1 + 6 + 3)  # the loop filter's kind, level and sharpness
    if bits.number(1) and bits.number(1):
        for _ in range(8):
            bits.optional(6, signed=True)
    bits.number(2)  # partitions
    base = bits.number(7)
    found = [value if is_absolute else base + value for value in quantisers] or [base]
    linear = (1 - min(max(sum(found) / len(found), 0), 127) / 127) ** 3
    return round(100 * (1.5 * linear if linear < 0.5 else (linear + 1) / 2))


def _segments(bits: _Bits) -> tuple[list[int], bool]:
    """Reads the quantisers of segments, if there are any, and whether they take the place of the frame's own."""
    bits.number(2)  # colour space and clamping
    if not bits.number(1):
        return [], False
    has_map, has_data = bits.number(1), bits.number(1)
    quantisers, is_absolute = [], False
    if has_data:
        is_absolute = bool(bits.number(1))
        quantisers = [bits.optional(7, signed=True) for _ in range(4)]
        for _ in range(4):
            bits.optional(6, signed=True)
    if has_map:
        for _ in range(3):
            bits.optional(8)
    return quantisers, is_absolute


class _Bits:
    """Reads the numbers of a VP8 header: bits of an arithmetic code in which 0 and 1 are equally likely (RFC 6386,
    section 7)."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data) - 8
        self._range = 255

    def number(self, count: int) -> int:
        """Reads a number of so many bits."""
        value = 0
        for _ in range(count):
            split = 1 + ((self._range - 1) >> 1)
            is_one = self._value >= split << self._left
            if is_one:
                self._value -= split << self._left
            self._range = self._range - split if is_one else split
            while self._range < 128:
                self._range <<= 1
                self._left = max(self._left - 1, 0)
            value = 2 * value + is_one
        return value

    def optional(self, count: int, signed: bool = False) -> int:
        """Reads a number that a bit before it announces, with its sign behind it; 0 if it is not there."""
        if not self.number(1):
            return 0
        value = self.number(count)
        return -value if signed and self.number(1) else value
