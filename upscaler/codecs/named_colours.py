"""Makes ICC profiles of colours that a file names by numbers in place of embedding one (ITU-T H.273, PNG)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyvips

from . import png_texts

WHITE = (0.3127, 0.329)
SRGB = ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), WHITE)

PRIMARIES = {
    1: SRGB,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.31, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.6), (0.15, 0.06), WHITE),
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), WHITE),
    7: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), WHITE),
    9: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), WHITE),
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), WHITE),
}
"""Chromaticities of red, green, blue and white by the numbers of H.273 (table 2)."""

UNSTATED = 2
EXPONENTS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
LIKE_SRGB = (1, UNSTATED, 6, 13, 14, 15)
"""Transfer curves that are sRGB's or, as BT.709's and BT.2020's are by browsers, shown with it (table 3)."""

HIGH_RANGE = {16: "PQ", 18: "HLG"}

CLOSE = 0.003
"""How far chromaticities may be from sRGB's and count as these."""

USUAL_GAMMA = (0.44, 0.47)
"""The range of a PNG's gamma, usually 0.45455, that means the sRGB curve."""

LARGEST_PROFILE = 2**24
"""Bytes."""

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = np.array([0.9642, 1.0, 0.8249])


class Colours(NamedTuple):
    """The colours that a file names."""

    profile: bytes | None = None
    """None for sRGB, and where nothing is named."""
    words: str | None = None
    """What a user should know of them, in words that follow the file's name."""


def from_code_points(primaries: int, transfer: int) -> Colours:
    """Returns the colours that two numbers of H.273 stand for."""
    corners = PRIMARIES.get(1 if primaries == UNSTATED else primaries)
    words = None
    if transfer in HIGH_RANGE:
        words = f"the picture has a high dynamic range ({HIGH_RANGE[transfer]}); it will look flat."
    elif corners is None or not (transfer in LIKE_SRGB or transfer in EXPONENTS):
        words = f"it names its colours by numbers that are not known here ({primaries}, {transfer}); they may be wrong."
    exponent = EXPONENTS.get(transfer)
    is_p3 = corners is PRIMARIES[12] and exponent is None
    return Colours(builtin("p3") if is_p3 else _profile_unless_srgb(corners or SRGB, exponent), words)


def builtin(name: str) -> bytes:
    """Returns a profile that comes with libvips: "srgb", "p3", "cmyk"."""
    return bytes(pyvips.Image.profile_load(name))


def in_heif(file: BinaryIO) -> Colours:
    """Finds the colours that an AVIF or HEIF file names (ISO 14496-12, colour information box)."""
    head = file.read(2**16)
    at = head.find(b"colrnclx") + 8
    return Colours() if at < 8 or at + 4 > len(head) else from_code_points(*struct.unpack_from(">HH", head, at))


def in_png(file: BinaryIO) -> Colours:
    """Finds the colours that a PNG file names: by cICP, else by cHRM and gAMA unless it calls itself sRGB.

    A profile is among them that libpng leaves out, since it is an RGB one and the pixels are grey.
    """
    chunks = dict(png_texts.read_chunks(file, (b"iCCP", b"cICP", b"sRGB", b"cHRM", b"gAMA")))
    words = from_code_points(*chunks[b"cICP"][:2]).words if len(chunks.get(b"cICP", b"")) == 4 else None
    if b"iCCP" in chunks:
        packed = chunks[b"iCCP"].partition(b"\0")[2][1:]
        with suppress(zlib.error):
            return Colours(zlib.decompressobj().decompress(packed, LARGEST_PROFILE), words)
    if len(chunks.get(b"cICP", b"")) == 4:
        return from_code_points(*chunks[b"cICP"][:2])
    if b"sRGB" in chunks:
        return Colours()
    corners: Sequence[tuple[float, float]] = SRGB
    exponent = None
    if len(chunks.get(b"cHRM", b"")) == 32:
        numbers = [number / 100000 for number in struct.unpack(">8I", chunks[b"cHRM"])]
        white, *others = zip(numbers[::2], numbers[1::2], strict=True)
        corners = (*others, white)
    if len(chunks.get(b"gAMA", b"")) == 4:
        gamma = int.from_bytes(chunks[b"gAMA"], "big") / 100000
        exponent = 1 / gamma if 0.1 < gamma < 10 and not USUAL_GAMMA[0] < gamma < USUAL_GAMMA[1] else None
    try:
        return Colours(_profile_unless_srgb(corners, exponent))
    except (ValueError, ZeroDivisionError, np.linalg.LinAlgError):
        return Colours(None, "it names colours that cannot be; they are taken for sRGB.")


def grey_profile(profile: bytes) -> bytes | None:
    """Returns the profile of grey pixels with the curve of an RGB profile; None if it has none."""
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        for number in range(min(count, 100)):
            tag, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
            if tag == b"gTRC" and profile[start : start + 4] in (b"curv", b"para"):
                return _make(b"GRAY", "Grey", {b"kTRC": profile[start : start + size]})
    except struct.error:
        return None
    return None


def _profile_unless_srgb(corners: Sequence[tuple[float, float]], exponent: float | None) -> bytes | None:
    """Returns the RGB profile of these chromaticities and exponent, None for the sRGB curve; None for sRGB itself."""
    if exponent is None and np.abs(np.array(corners) - np.array(SRGB)).max() < CLOSE:
        return None
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in corners]).T
    white = columns[:, 3]
    matrix = columns[:, :3] * np.linalg.solve(columns[:, :3], white)
    adaptation = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD
    adapted = adaptation @ matrix
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 100:
        raise ValueError("chromaticities that span no colours")
    curve = _curve(exponent)
    tags = {key: _fixed(b"XYZ ", adapted[:, channel]) for channel, key in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= {b"chad": _fixed(b"sf32", adaptation.ravel())} | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _make(b"RGB ", "RGB as named in the source", tags)


def _curve(exponent: float | None) -> bytes:
    """Returns the curve of a power, or sRGB's for None (ICC.1:2022, 10.18)."""
    kind, *numbers = (0, exponent) if exponent else (3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return _fixed(b"para" + bytes(4) + struct.pack(">Hxx", kind), numbers)


def _fixed(head: bytes, numbers: Any) -> bytes:
    """Returns numbers as 16 bits before and 16 behind the point, with a type before them."""
    return head.ljust(8, b"\0") + b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def _text(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xII4sII", 1, 12, b"enUS", len(data), 28) + data


def _make(space: bytes, name: str, tags: dict[bytes, bytes]) -> bytes:
    """Returns a display profile of version 4 with these tags (ICC.1:2022, 7 and 8.3)."""
    tags = {b"desc": _text(name), b"cprt": _text("CC0"), b"wtpt": _fixed(b"XYZ ", D50), **tags}
    start = 132 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for key, value in tags.items():
        table += struct.pack(">4sII", key, start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    head = struct.pack(">I4xI4s4s4s", start + len(data), 0x04300000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s28x", 2024, 1, 1, 0, 0, 0, b"acsp") + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + data
