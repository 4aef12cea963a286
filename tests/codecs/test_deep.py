"""Samples of more than 8 bits, read in Pillow's stead."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from upscaler.codecs import decode

from ..tiffs import smooth
from .checks import same


@pytest.mark.parametrize("top", [255, 300, 1023, 4095, 65535])
@pytest.mark.parametrize("kind", [b"P2", b"P3", b"P5", b"P6"])
def test_portable_map_keeps_every_level(kind: bytes, top: int) -> None:
    channels = 3 if kind in (b"P3", b"P6") else 1
    values = np.arange(4 * 5 * channels).reshape(4, 5, channels) * top // (20 * channels - 1)
    plain = kind in (b"P2", b"P3")
    data = b" ".join(b"%d" % value for value in values.ravel()) if plain else values.astype(">u2").tobytes()
    if not plain and top == 255:
        data = values.astype(np.uint8).tobytes()
    pixels = decode(kind + b"\n# by hand\n5 4\n%d\n" % top + data).pixels
    assert pixels.dtype == (np.uint8 if top == 255 else np.uint16)
    np.testing.assert_array_equal(pixels, np.rint(values * (np.iinfo(pixels.dtype).max / top)))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_jpeg_2000_keeps_16_bits(channels: int) -> None:

    stored = smooth(64, 48, channels, 16)
    order = [2, 1, 0, 3][:channels] if channels > 1 else [0]
    _, data = cv2.imencode(".jp2", stored[:, :, order], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    same(decode(data.tobytes()).pixels, stored)
