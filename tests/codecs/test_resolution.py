"""Resolution: what is stated with a unit is kept, nothing is made up."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from PIL import Image

from upscaler.codecs import decode
from upscaler.picture import Picture

from ..bad_files import png_chunk, saved
from ..tiffs import Tags, rational, short, smooth, tiff
from .checks import WRITTEN, written

PIXELS = smooth(20, 10)


def png(across: int, down: int, unit: int) -> bytes:
    whole = saved(Image.fromarray(PIXELS), "PNG")
    return whole[:33] + png_chunk(b"pHYs", struct.pack(">IIB", across, down, unit)) + whole[33:]


def jpeg(across: int, down: int, unit: int) -> bytes:
    whole = saved(Image.fromarray(PIXELS), "JPEG")
    return whole[:13] + struct.pack(">BHH", unit, across, down) + whole[18:]


def tiff_of(above: int, below: int, unit: int | None) -> bytes:
    tags: Tags = {282: rational(above, below), 283: rational(above, below)}
    return tiff(PIXELS, tags if unit is None else {**tags, 296: short(unit)})


@pytest.mark.parametrize(
    ("content", "dpi"),
    [
        (png(11811, 5906, 1), (300.0, 150.01)),
        (png(1000, 1000, 1), (25.4, 25.4)),
        (jpeg(300, 150, 1), (300.0, 150.0)),
        (jpeg(118, 118, 2), (299.72, 299.72)),
        (tiff_of(300, 1, 2), (300.0, 300.0)),
        (tiff_of(118, 1, 3), (299.72, 299.72)),
        (tiff_of(300, 1, None), (300.0, 300.0)),
    ],
)
def test_resolution_with_a_unit_is_read(content: bytes, dpi: tuple[float, float]) -> None:
    assert decode(content).metadata.dpi == dpi


@pytest.mark.parametrize(
    "content",
    [
        *(png(2, 1, 0), png(1000, 1000, 0), png(0, 0, 1), png(0, 100, 1), png(2**31 - 1, 2**31 - 1, 1), png(1, 1, 1)),
        *(jpeg(2, 1, 0), jpeg(72, 72, 0), jpeg(0, 0, 1), jpeg(1, 1, 1)),
        *(tiff_of(300, 1, 1), tiff_of(0, 1, 2), tiff_of(1, 0, 2), tiff_of(4 * 10**9, 1, 2), tiff_of(1, 1, 2)),
    ],
)
def test_proportions_and_absurd_numbers_are_no_resolution(content: bytes) -> None:
    assert decode(content).metadata.dpi is None


@pytest.mark.parametrize("suffix", WRITTEN)
def test_no_resolution_is_made_up(tmp_path: Path, suffix: str) -> None:
    path = written(Picture(PIXELS), tmp_path, suffix)
    assert decode(path).metadata.dpi is None
    with Image.open(path) as image:
        dpi = image.info.get("dpi")
        assert dpi in (None, (0.0, 0.0)) or (suffix == "tif" and dpi == (1, 1))


def test_resolution_in_exif_alone_is_read_with_its_unit() -> None:
    for unit, dpi in ((2, (180.0, 180.0)), (3, (457.2, 457.2)), (1, None)):
        exif = Image.Exif()
        exif[282], exif[283], exif[296] = 180.0, 180.0, unit
        assert decode(saved(Image.fromarray(PIXELS), "WEBP", exif=exif)).metadata.dpi == dpi
