"""Reads BMP files whose samples have any number of bits, of which Pillow knows the usual ones only."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

from ..arrays import PixelArray

BITFIELDS = (3, 6)
"""Kinds of compression whose masks stand behind the first 40 bytes of the header (BI_BITFIELDS, BI_ALPHABITFIELDS)."""


def open_bitmap(content: bytes) -> Image.Image | None:
    """Returns an RGB or RGBA image of a BMP file with masks of its own; None for others. Raises ValueError and
    struct.error for files that are cut short."""
    offset, header, width, height, _, bits, kind = struct.unpack_from("<IIiiHHI", content, 10)
    if kind not in BITFIELDS or bits not in (16, 32) or width <= 0 or height == 0:
        return None
    masks = struct.unpack_from("<4I" if header >= 56 or kind == 6 else "<3I", content, 54)
    row = (width * bits // 8 + 3) // 4 * 4
    rows = np.frombuffer(content, np.uint8, row * abs(height), offset).reshape(abs(height), row)
    samples = np.ascontiguousarray(rows[:, : width * bits // 8]).view(f"<u{bits // 8}")
    if height > 0:  # from bottom to top
        samples = samples[::-1]
    channels = [_channel(samples, mask) for mask in (masks if masks[-1] else masks[:3])]
    return Image.fromarray(np.dstack(channels))


def _channel(samples: PixelArray, mask: int) -> PixelArray:
    """Returns the bits of a mask as 8-bit samples."""
    if mask == 0:
        return np.zeros(samples.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    channel: PixelArray = np.rint(((samples & mask) >> shift) * (255 / (mask >> shift))).astype(np.uint8)
    return channel
