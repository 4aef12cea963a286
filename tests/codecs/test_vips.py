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
from upscaler.notices import collect
from upscaler.picture import Picture

from ..bad_files import _damaged, file_of
from ..tiffs import long, short, smooth, structure, tiff
from .checks import by_vips, close, off, same, written


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


def test_lab_of_8_bits_is_read_as_colours_by_another_reader() -> None:
    lab = np.zeros((8, 24, 3), np.int64)
    lab[:, :8], lab[:, 8:16], lab[:, 16:] = (255, 0, 0), (0, 0, 0), (135, 80, 67)
    pixels = decode(tiff(lab.astype(np.uint8), {262: short(8)})).pixels
    np.testing.assert_allclose(pixels[4, [4, 12, 20]], [(255, 255, 255), (0, 0, 0), (254, 0, 0)], atol=12)


@pytest.mark.parametrize("depth", [8, 16])
def test_tiles_of_separate_planes_are_read_by_another_reader(depth: int) -> None:
    pixels = smooth(64, 48, 3, depth)
    tiles = [pixels[y : y + 16, x : x + 32, channel] for channel in range(3) for y in (0, 16, 32) for x in (0, 32)]
    offsets = [16 + number * tiles[0].nbytes for number in range(len(tiles))]
    tags = {256: long(64), 257: long(48), 258: short(*[depth] * 3), 259: short(1), 262: short(2), 277: short(3)}
    tags |= {
        284: short(2),
        322: long(32),
        323: long(16),
        324: long(*offsets),
        325: long(*[tiles[0].nbytes] * len(tiles)),
    }
    content = structure(tags, data=b"".join(tile.tobytes() for tile in tiles))
    with collect() as texts:
        close(decode(content, name="a.tif").pixels, pixels, 0.5)
    assert texts == ([] if depth == 8 else ["a.tif: it is read with 8 bits a sample."])


def test_12_bit_grey_spans_the_full_range() -> None:
    values = np.linspace(0, 4095, 64).astype(np.uint16).reshape(4, 16)
    packed = b"".join(
        bytes((first >> 4, (first & 15) << 4 | second >> 8, second & 255)) for first, second in values.reshape(-1, 2)
    )
    tags = {256: long(16), 257: long(4), 258: short(12), 259: short(1), 262: short(1), 277: short(1), 278: long(4)}
    picture = decode(structure(tags | {273: long(16), 279: long(len(packed))}, data=packed))
    np.testing.assert_array_equal(picture.pixels[:, :, 0], np.rint(values * (65535 / 4095)))


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
        (np.zeros((4, 4, 6), np.uint8), {}, "6 channels are not supported"),
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


def test_a_report_that_is_no_text_is_escaped() -> None:
    with pytest.raises(PictureError, match=r"could not parse item property 'i4\\xe7t'"):
        decode(_damaged()["no text.avif"])
