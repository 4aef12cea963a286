"""The quantisation tables of JPEG files, which tell how much a picture was compressed."""

from __future__ import annotations

import struct
from typing import BinaryIO

from ..picture import jpeg_quality

TABLES, SCAN = 0xDB, 0xDA
"""Markers (ITU-T T.81, annex B) of the segments with tables, and of the pixels, before which tables come."""


def find_quality(file: BinaryIO) -> int | None:
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
