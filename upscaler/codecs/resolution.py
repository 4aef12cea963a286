"""Finds the resolution that a file states, in pixels an inch: one with a unit, and not an absurd one."""

from __future__ import annotations

import struct
from typing import BinaryIO

from . import png_texts, tiff_exif
from .tiff_exif import Value

INCH = 0.0254
TAGS = frozenset({0x011A, 0x011B, 0x0128})
UNITS = {2: 1.0, 3: 2.54}
"""By the numbers of TIFF: inches and centimetres. 1 has no unit."""

LEAST, MOST = 2, 100_000
"""Pixels an inch beyond which a number is none that anybody has measured."""

Resolution = tuple[float, float]


def usable(across: float, down: float) -> Resolution | None:
    """Returns a resolution, rounded to hundredths; None if it is zero or absurd."""
    return (round(across, 2), round(down, 2)) if LEAST <= min(across, down) <= max(across, down) <= MOST else None


def in_png(file: BinaryIO) -> Resolution | None:
    """Finds the resolution of a PNG file; without a unit its numbers are mere proportions."""
    data = next((data for _, data in png_texts.read_chunks(file, (b"pHYs",))), b"")
    if len(data) != 9 or data[8] != 1:
        return None
    across, down = struct.unpack_from(">II", data)
    return usable(across * INCH, down * INCH)


def in_tiff(file: BinaryIO) -> Resolution | None:
    """Finds the resolution in the first directory of a TIFF file or EXIF block; inches are meant if no unit stands
    there."""
    values = [tiff_exif.read_chosen(file, TAGS).get(tag) for tag in sorted(TAGS)]
    across, down, unit = (_number(value) if isinstance(value, Value) else None for value in values)
    factor = UNITS.get(2 if unit is None else int(unit))
    return None if across is None or down is None or factor is None else usable(across * factor, down * factor)


def _number(value: Value) -> float | None:
    if value.kind == 3 and value.count == 1:
        return float(int.from_bytes(value.data, "little"))
    if value.kind != 5 or value.count != 1:
        return None
    above, below = struct.unpack("<II", value.data)
    return above / below if below else None
