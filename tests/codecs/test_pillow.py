"""Pillow's images as sources, and Pillow itself, which is left as it was."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscaler.codecs import decode
from upscaler.errors import PictureError

from ..bad_files import READABLE, file_of
from ..tiffs import smooth, tiff
from . import blocks, icc
from .checks import same


def test_pillow_image_comes_with_its_metadata() -> None:
    image = Image.open(io.BytesIO(blocks.file_with_all("jpg", smooth(60, 40), icc.DISPLAY_P3, 6)))
    picture, read = decode(image), decode(blocks.file_with_all("jpg", smooth(60, 40), icc.DISPLAY_P3, 6))
    assert picture.size == read.size
    assert picture.profile == read.profile
    assert picture.metadata.exif == read.metadata.exif
    assert picture.metadata.xmp == read.metadata.xmp
    assert picture.metadata.iptc == read.metadata.iptc
    assert picture.metadata.dpi == (300, 300)


def test_pillow_image_of_a_tiff_is_turned_once(tmp_path: Path) -> None:
    stored = smooth(60, 40)
    path = tmp_path / "turned.tif"
    path.write_bytes(tiff(stored, blocks.camera_tags(60, 40, 6)))
    with Image.open(path) as image:
        picture = decode(image)
    same(picture.pixels, blocks.turned(stored, 6))
    assert picture.metadata.exif is not None
    assert b"NIKON Z 8" in picture.metadata.exif


@pytest.mark.parametrize(
    ("mode", "shape", "dtype"),
    [
        ("1", (20, 30, 1), np.uint8),
        ("L", (20, 30, 1), np.uint8),
        ("LA", (20, 30, 2), np.uint8),
        ("La", (20, 30, 2), np.uint8),
        ("P", (20, 30, 3), np.uint8),
        ("PA", (20, 30, 4), np.uint8),
        ("RGB", (20, 30, 3), np.uint8),
        ("RGBA", (20, 30, 4), np.uint8),
        ("RGBa", (20, 30, 4), np.uint8),
        ("RGBX", (20, 30, 3), np.uint8),
        ("CMYK", (20, 30, 3), np.uint8),
        ("YCbCr", (20, 30, 3), np.uint8),
        ("HSV", (20, 30, 3), np.uint8),
        ("LAB", (20, 30, 3), np.uint8),
        ("I;16", (20, 30, 1), np.uint16),
        ("I;16B", (20, 30, 1), np.uint16),
        ("I", (20, 30, 1), np.uint16),
    ],
)
def test_pillow_image_of_any_mode_is_taken(mode: str, shape: tuple[int, ...], dtype: type) -> None:
    picture = decode(Image.new(mode, (30, 20)))
    assert picture.pixels.shape == shape
    assert picture.pixels.dtype == dtype


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.new("F", (3, 3)), "32-bit float"),
        (Image.new("I", (3, 3), 70000), "32-bit whole numbers"),
        (Image.new("I", (3, 3), -1), "32-bit whole numbers"),
    ],
    ids=["float", "large", "negative"],
)
def test_pillow_image_beyond_16_bits_is_refused(image: Image.Image, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        decode(image, name="mine")


def test_pillow_image_of_a_truncated_file_is_refused() -> None:
    image = Image.open(io.BytesIO(file_of("jpg")[:2000]))
    with pytest.raises(PictureError, match=r"^mine: the image cannot be read \("):
        decode(image, name="mine")


def test_pillow_is_left_as_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import ImageFile

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12345)
    decode(file_of("bmp"), accept_damaged=True)
    with pytest.raises(PictureError):
        decode(file_of("bmp")[:500])
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (12345, False)


def test_two_reads_at_once_do_not_disturb_each_other() -> None:
    from concurrent.futures import ThreadPoolExecutor

    files = [(suffix, file_of(suffix)) for suffix in READABLE] * 3
    alone = [decode(data, name=f"a.{suffix}").pixels for suffix, data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda item: decode(item[1], name=f"a.{item[0]}").pixels, files))
    for one, other in zip(alone, together, strict=True):
        same(one, other)
