"""ICC profiles of version 2, written from their primaries and curve."""

from __future__ import annotations

import struct

import numpy as np
import pyvips
from numpy.typing import NDArray

P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""XYZ of red, green and blue, adapted to D50."""

D50 = (0.9642, 1.0, 0.8249)


def rgb_profile(name: str, primaries: tuple[tuple[float, float, float], ...], curve: bytes) -> bytes:
    tags = {key: _xyz(colour) for key, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    return _profile(name, b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def grey_profile(name: str, curve: bytes) -> bytes:
    return _profile(name, b"GRAY", {b"kTRC": curve})


def gamma(exponent: float) -> bytes:
    return b"curv" + struct.pack(">4xIHxx", 1, round(exponent * 256))


def srgb_curve() -> bytes:
    x = np.linspace(0, 1, 1024)
    y = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return b"curv" + struct.pack(">4xI", 1024) + np.rint(y * 65535).astype(">u2").tobytes()


def in_srgb(pixels: NDArray[np.generic], profile: bytes) -> NDArray[np.int64]:
    """RGB or CMYK pixels of a profile as the numbers of sRGB, by libvips and LittleCMS."""
    height, width, channels = pixels.shape
    depth = 8 * pixels.itemsize
    image = pyvips.Image.new_from_memory(pixels.tobytes(), width, height, channels, "uchar" if depth == 8 else "ushort")
    image = image.copy(interpretation={1: "b-w", 3: "srgb" if depth == 8 else "rgb16", 4: "cmyk"}[channels])
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    converted = image.icc_transform("srgb", embedded=True, depth=depth).numpy().astype(np.int64)
    return converted.reshape(height, width, -1)


def _xyz(colour: tuple[float, float, float]) -> bytes:
    return b"XYZ " + struct.pack(">4x3i", *(round(value * 65536) for value in colour))


def _profile(name: str, space: bytes, tags: dict[bytes, bytes]) -> bytes:
    words = name.encode() + b"\0"
    tags = {
        b"desc": b"desc" + struct.pack(">4xI", len(words)) + words + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz(D50),
    } | tags
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for key, value in tags.items():
        table += struct.pack(">4sII", key, start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    size = start + len(data)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + data


DISPLAY_P3 = rgb_profile("Display P3", P3, srgb_curve())
ADOBE_RGB = rgb_profile("Adobe RGB", ADOBE, gamma(563 / 256))
GREY = grey_profile("Grey gamma 2.2", gamma(2.2))
