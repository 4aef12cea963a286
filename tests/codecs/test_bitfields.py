"""BMP files with masks of their own."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from upscaler.codecs import decode
from upscaler.errors import PictureError

from ..tiffs import smooth
from .checks import close, same


def bitmap(
    pixels: NDArray[np.uint8], masks: tuple[int, ...], bits: int, kind: int = 3, from_top: bool = False
) -> bytes:
    height, width, channels = pixels.shape
    samples = np.zeros((height, width), np.uint32)
    for channel, mask in zip(range(channels), masks, strict=False):
        shift = (mask & -mask).bit_length() - 1
        samples |= np.rint(pixels[:, :, channel] / 255 * (mask >> shift)).astype(np.uint32) << np.uint32(shift)
    rows = (samples if from_top else samples[::-1]).astype(f"<u{bits // 8}")
    rows = np.pad(rows, ((0, 0), (0, width % 2 if bits == 16 else 0)))
    header = struct.pack("<IiiHHIIiiII", 40, width, -height if from_top else height, 1, bits, kind, 0, 0, 0, 0, 0)
    table = struct.pack(f"<{len(masks)}I", *masks)
    offset = 14 + len(header) + len(table)
    return b"BM" + struct.pack("<IHHI", offset + rows.nbytes, 0, 0, offset) + header + table + rows.tobytes()


@pytest.mark.parametrize("from_top", [False, True])
@pytest.mark.parametrize(
    ("masks", "bits", "levels"),
    [
        ((0xFF00000, 0xFF000, 0xFF0), 32, 0.0),
        ((0xFFC00000, 0x3FF800, 0x7FF), 32, 0.3),
        ((0x600, 0x1C0, 0x1), 16, 40.0),
        ((0x7C00, 0x3E0, 0x1F), 16, 3.0),
    ],
    ids=["shifted", "10 and 11 bits", "2, 3 and 1 bits", "5 bits"],
)
def test_samples_of_any_width_are_read(masks: tuple[int, ...], bits: int, levels: float, from_top: bool) -> None:
    pixels = smooth(61, 40)
    close(decode(bitmap(pixels, masks, bits, from_top=from_top)).pixels, pixels, levels)


def test_mask_of_transparency_is_read() -> None:
    pixels = smooth(60, 40, 4)
    same(decode(bitmap(pixels, (0xFF, 0xFF00, 0xFF0000, 0xFF000000), 32, 6)).pixels, pixels)
    same(decode(bitmap(pixels[:, :, :3], (0xFF, 0xFF00, 0xFF0000, 0), 32, 6)).pixels, pixels[:, :, :3])


def test_bitmap_that_is_cut_short_or_of_an_unknown_kind_is_refused() -> None:
    whole = bitmap(smooth(60, 40), (0xFF00000, 0xFF000, 0xFF0), 32)
    for cut in (30, 60, len(whole) - 1):
        with pytest.raises(PictureError):
            decode(whole[:cut])
    with pytest.raises(PictureError, match=r"it is of a kind that is not supported \(Unsupported BMP"):
        decode(whole[:28] + struct.pack("<HI", 24, 9) + whole[34:])
    with pytest.raises(PictureError, match="over the limit"):
        decode(whole, max_pixels=100)
