"""What libvips is told and asked: depth, quality, complaints, decoders."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from upscaler.codecs import decode
from upscaler.errors import PictureError
from upscaler.picture import Picture

from ..bad_files import file_of
from ..tiffs import short, smooth, tiff
from .checks import by_vips, off, same, written


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif_spans_the_full_range(bits: int) -> None:
    stored = np.zeros((64, 64, 3), np.uint16)
    stored[:, 32:] = 65535
    image = pyvips.Image.new_from_memory(stored.tobytes(), 64, 64, 3, "ushort").copy(interpretation="rgb16")
    picture = decode(image.heifsave_buffer(compression="av1", bitdepth=bits, lossless=True, keep="none"))
    assert picture.pixels.dtype == np.uint16
    assert (picture.pixels.min(), picture.pixels.max()) == (0, 65535)


def test_16_bit_lab_is_read_as_colours() -> None:
    lab = np.zeros((8, 24, 3), np.int64)
    lab[:, :8], lab[:, 8:16], lab[:, 16:] = (100, 0, 0), (0, 0, 0), (53, 80, 67)
    stored = np.rint(lab * [65535 / 100, 256, 256]).astype(np.int64).astype(np.uint16)
    pixels = decode(tiff(stored, {262: short(8)})).pixels
    scale = np.iinfo(pixels.dtype).max / 255
    np.testing.assert_allclose(pixels[4, [4, 12, 20]] / scale, [[255] * 3, [0] * 3, [255, 0, 0]], atol=8)


def test_damage_is_found_behind_a_harmless_oddity() -> None:
    jpeg = file_of("jpg")
    odd = jpeg[:11] + b"\x09" + jpeg[12:]
    same(decode(odd).pixels, decode(jpeg).pixels)
    with pytest.raises(PictureError, match="cut short"):
        decode(odd[: len(odd) // 2])


HEIC = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAaFtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAAAA"
    "AERAAAIAAQAAAAABxQABAAAAAAAAAGEAAgAAAAACJgABAAAAAAAAADYAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZl"
    "AgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA4GlwcnAAAADAaXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH/"
    "/wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaAggAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNj"
    "b2xybmNseAABAA0AAYAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAJaXJvdAMAAAAYaXBtYQAAAAAAAAABAAEFgQIDBIUA"
    "AAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAJ9tZGF0AAAAXSgBrxOAVWemqI///iP/X/reBP/mgZLBVP/y4QfeOcX/nnZKeEPNa2KDKFoXZzc0"
    "g4GP/TZPlXy4NUTvwPi9yyACrNw8S+ikP//IVZj9y63/6tgJpAqi4yZNH/nKoAAAAAZFeGlmAABNTQAqAAAACAACARAAAgAAAAYAAAAmARIAAwAA"
    "AAEABgAAAAAAAFBob25lAA=="
)
"""96x64 on its side, by HEVC: red, black, blue below; in base64."""


def test_hevc_picture_is_read_or_refused_for_what_is_lacking() -> None:
    """libvips' wheel has no HEVC decoder, a system's libvips and pillow-heif have."""
    try:
        picture = decode(base64.b64decode(HEIC), name="phone.heic")
    except PictureError as error:
        assert str(error) == (  # noqa: PT017
            "phone.heic: HEIC pictures need an HEVC decoder, which libvips was built without. "
            "Install pillow-heif, or convert it."
        )
        return
    assert picture.pixels.shape == (96, 64, 3)
    assert picture.pixels[5, -5].argmax() == 0
    assert picture.pixels[-5, 5].argmax() == 2
    assert b"Phone" in (picture.metadata.exif or b"")


@pytest.mark.parametrize(
    ("pixels", "tags", "words"),
    [
        (np.zeros((4, 4), np.float32), {}, "32-bit float pixels are not supported"),
        (np.zeros((4, 4), np.int32), {}, "32-bit whole numbers are not supported"),
        (np.zeros((4, 4, 6), np.uint8), {338: short(0, 0, 0)}, "6 channels are not supported"),
        (np.zeros((4, 4), np.uint8), {259: short(34925)}, "it is compressed in a way that cannot be read"),
    ],
    ids=["float", "int32", "six channels", "lzma"],
)
def test_pixels_of_an_unknown_kind_are_refused_by_name(pixels: Any, tags: Any, words: str) -> None:
    with pytest.raises(PictureError, match=rf"^scan\.tif: {words}.* Convert it first\.$"):
        decode(tiff(pixels, tags), name="scan.tif")


def _coding(path: Path) -> int:
    """Bytes of a JPEG's quantisation of the first coefficient, its finest."""
    with Image.open(path) as image:
        tables: Any = image.quantization
    return int(tables[0][0])


def test_quality_of_jpeg_is_95_with_full_colour_by_default(tmp_path: Path) -> None:
    photo = Picture(np.random.default_rng(6).integers(0, 256, (64, 64, 3), np.uint8))
    sampling = {}
    for quality in (None, 95, 90, 89, 50):
        path = written(photo, tmp_path, "jpg", quality=quality)
        sampling[quality] = by_vips(path).get("jpeg-chroma-subsample")
        if quality in (None, 95):
            assert _coding(path) == 2
    assert sampling == {None: "4:4:4", 95: "4:4:4", 90: "4:4:4", 89: "4:2:0", 50: "4:2:0"}


def test_16_bit_avif_has_12_bits_and_comes_back_close(tmp_path: Path) -> None:
    pixels = smooth(60, 40, 3, 16)
    path = written(Picture(pixels), tmp_path, "avif", quality=95)
    assert by_vips(path).get("bits-per-sample") == 12
    back = decode(path).pixels
    assert back.dtype == np.uint16
    assert off(back, pixels) < 0.5
    assert (int(back[0, 0].max()), int(back[-1, -1].min())) == pytest.approx((0, 65535), abs=700)
