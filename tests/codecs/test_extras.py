"""What files hold beside the picture: it is said, and channels that are no transparency are not taken for one."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from upscaler.codecs import decode, extras
from upscaler.errors import PictureError
from upscaler.notices import collect
from upscaler.picture import Picture

from ..bad_files import saved
from ..tiffs import short, smooth, tiff
from .checks import close, same
from .test_bitfields import bitmap

COLOUR = smooth(60, 40)
SELECTION = np.zeros((40, 60, 1), np.uint8)
SELECTION[10:20, 10:20] = 255


def read(content: bytes, **options: Any) -> tuple[Picture, list[str]]:
    with collect() as texts:
        return decode(content, **options), texts


def jpeg(xmp: bytes = b"") -> bytes:
    return saved(Image.fromarray(COLOUR), "JPEG", quality=95, **({"xmp": xmp} if xmp else {}))


MP4 = b"\0\0\0\x18ftypmp42" + bytes(100)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (jpeg(b'<x GCamera:MotionPhoto="1"/>') + MP4, extras.NO_FILM),
        (jpeg(b"<GCamera:MicroVideo>1</GCamera:MicroVideo>"), extras.NO_FILM),
        (jpeg() + MP4, extras.NO_FILM),
        (jpeg() + b"MotionPhoto_Data" + MP4, extras.NO_FILM),
        (jpeg(b'<x hdrgm:Version="1.0"/>') + jpeg(), extras.NO_RANGE),
        (jpeg() + jpeg(b"<x HDRGainMap:HDRGainMapVersion='1'/>"), extras.NO_RANGE),
        (jpeg(), None),
        (jpeg(b'<x GCamera:MotionPhoto="0"/>') + b"appended", None),
    ],
)
def test_what_a_photograph_loses_is_said(content: bytes, words: str | None) -> None:
    picture, texts = read(content, name="a.jpg")
    close(picture.pixels, COLOUR, 3)
    assert texts == ([] if words is None else [f"a.jpg: {words}"])


@pytest.mark.parametrize(
    ("xmp", "words"),
    [
        (b'<x GCamera:MotionPhoto="1"/>', [extras.NO_FILM]),
        (b"<x urn:com:apple:photo:2020:aux:hdrgainmap/>", [extras.NO_RANGE]),
        (b'<x GCamera:MotionPhoto="0"/>', []),
    ],
)
def test_what_an_avif_loses_is_said(xmp: bytes, words: list[str]) -> None:
    content = saved(Image.fromarray(COLOUR), "AVIF", quality=95, xmp=xmp)
    assert read(content, name="a")[1] == [f"a: {each}" for each in words]


def test_stray_bytes_in_the_head_of_a_jpeg_are_passed_over_and_said() -> None:
    whole = jpeg()
    assert extras.without_stray_bytes(whole) == (whole, 0)
    at = whole.index(b"\xff\xdb")
    odd = whole[:at] + b"\0\0junk\xff\0" + whole[at:]
    picture, texts = read(odd, name="a.jpg")
    same(picture.pixels, decode(whole).pixels)
    assert texts == ["a.jpg: there are 8 stray bytes in its head; they are passed over."]
    scan = whole.index(b"\xff\xda") + 300
    with pytest.raises(PictureError, match=r"the file is (cut short|damaged)"):
        decode(odd[: scan + 8] + bytes(100) + odd[scan + 108 :])


def test_stray_bytes_before_the_end_of_a_progressive_jpeg_are_passed_over_and_said() -> None:
    whole = saved(Image.fromarray(COLOUR), "JPEG", quality=95, progressive=True)
    for stray in (bytes(12), b"junkjunkjunk"):
        picture, texts = read(whole[:-2] + stray + whole[-2:], name="a.jpg")
        same(picture.pixels, decode(whole).pixels)
        assert texts == ["a.jpg: there are stray bytes before its end; they are passed over."]


@pytest.mark.parametrize(
    ("kinds", "extra", "lost"),
    [
        ((0,), [SELECTION], 1),
        ((2,), [smooth(60, 40, 1)], 0),
        ((0, 2), [SELECTION, smooth(60, 40, 1)], 1),
        ((0, 0, 0), [SELECTION] * 3, 3),
    ],
)
def test_extra_samples_of_a_tiff_are_what_it_says(kinds: tuple[int, ...], extra: list[Any], lost: int) -> None:
    picture, texts = read(tiff(np.dstack([COLOUR, *extra]), {338: short(*kinds)}), name="a.tif")
    same(picture.pixels, np.dstack([COLOUR, smooth(60, 40, 1)]) if 2 in kinds else COLOUR)
    said = f"a.tif: channels that are neither colour nor transparency are left out: {lost}."
    assert texts == ([said] if lost else [])


def psd(layers: int | None) -> bytes:
    """A flat PSD file with a fourth channel, and a number of layers if it has that section."""
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 4, 40, 60, 8, 3) + bytes(4) + struct.pack(">I4sH6x", 12, b"8BIM", 9)
    section = b"" if layers is None else struct.pack(">IhH", 4, layers, 0)
    planes = np.dstack([COLOUR, smooth(60, 40, 1)]).transpose(2, 0, 1).tobytes()
    return head + struct.pack(">I", len(section)) + section + bytes(2) + planes


@pytest.mark.parametrize("layers", [None, 0, -1])
def test_fourth_channel_of_a_psd_is_transparency_only_with_layers(layers: int | None) -> None:
    reason = extras.reason_against_alpha_of_psd(io.BytesIO(psd(layers)), SELECTION)
    assert (reason is None) == (layers == -1)
    if layers is None:
        picture, texts = read(psd(layers), name="a.psd")
        same(picture.pixels, COLOUR)
        assert texts == ["a.psd: a channel that is no transparency is left out: it is a saved selection, or the like."]


def of_format(format: str, pixels: Any) -> bytes:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    return bitmap(pixels, masks, 32, 6) if format == "BMP" else saved(Image.fromarray(pixels), format)


@pytest.mark.parametrize("format", ["BMP", "TGA", "DDS"])
def test_alpha_that_is_zero_everywhere_is_none(format: str) -> None:
    clear, real = np.dstack([COLOUR, 0 * SELECTION]), np.dstack([COLOUR, SELECTION])
    picture, texts = read(of_format(format, clear), name=f"a.{format}")
    same(picture.pixels, COLOUR)
    assert len(texts) == 1
    assert "nothing of the picture would be seen" in texts[0]
    same(decode(of_format(format, real), name=f"a.{format}").pixels, real)


def test_picture_that_is_transparent_throughout_stays_so_where_alpha_is_meant() -> None:
    clear = np.dstack([COLOUR, 0 * SELECTION])
    for format in ("PNG", "TIFF"):
        same(decode(saved(Image.fromarray(clear), format)).pixels, clear)


def test_colours_of_a_palette_keep_their_transparency() -> None:
    palette = np.array([(10, 20, 30, 255), (200, 100, 50, 0), (90, 250, 130, 128)], np.uint8)
    indices = np.arange(6, dtype=np.uint8).reshape(2, 3) % 3
    head = struct.pack("<BBBHHBHHHHBB", 0, 1, 1, 0, 3, 32, 0, 0, 3, 2, 8, 0x28)
    content = head + palette[:, [2, 1, 0, 3]].tobytes() + indices.tobytes()
    same(decode(content, name="a.tga").pixels, palette[indices])
