"""Cameras' raw files: never enlarged from their previews, developed where rawpy is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from upscaler.codecs import by_name, by_suffix, decode, looks_like_picture, sniff
from upscaler.errors import PictureError

from ..tiffs import BYTE, SRATIONAL, Tag, Tags, long, rational, raw, short, smooth, structure, text, tiff
from .checks import close

WIDTH, HEIGHT = 160, 120
XYZ_TO_SRGB = (32405, -15371, -4985, -9693, 18760, 416, 556, -2040, 10572)
NEUTRAL = (500, 1000, 700)
"""What this camera sees of white, in thousandths."""


def scene() -> NDArray[np.uint8]:
    """Gentle colours and a white place, by which LibRaw sets the brightness."""
    pixels = smooth(WIDTH, HEIGHT)
    pixels[:30, :40] = 255
    return pixels


def dng(orientation: int = 1, version: bool = True) -> bytes:
    """A raw file of the scene that begins with a thumbnail, as cameras write it."""
    stored = np.rot90(scene()) if orientation == 6 else scene()  # upright when turned by 90 degrees
    height, width = stored.shape[:2]
    value = stored / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) * np.array(NEUTRAL) / 1000
    samples = np.empty((height, width), np.uint16)
    for y, x, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        samples[y::2, x::2] = np.rint(linear[y::2, x::2, channel] * 65535)
    small = np.ascontiguousarray(stored[::4, ::4])
    common = {258: short(8, 8, 8), 259: short(1), 262: short(2), 277: short(3)}
    sensor: dict[int, Tag | Tags] = {
        254: long(0),
        **_strip(width, height, 16 + small.size, 2 * samples.size),
        **{258: short(16), 259: short(1), 262: short(32803), 277: short(1)},
        **{33421: short(2, 2), 33422: (BYTE, (0, 1, 1, 2)), 50717: long(65535)},
    }
    first: dict[int, Tag | Tags] = {
        254: long(1),
        **_strip(small.shape[1], small.shape[0], 16, small.size),
        **common,
        271: text("Maker"),
        272: text("Model"),
        274: short(orientation),
        330: sensor,
        0x8769: {0x829A: rational(1, 250), 0x927C: raw(bytes(70000))},
        50708: text("Maker Model"),
        50721: (SRATIONAL, tuple(number for value in XYZ_TO_SRGB for number in (value, 10000))),
        50728: rational(*(number for value in NEUTRAL for number in (value, 1000))),
    }
    if version:
        first[50706] = (BYTE, (1, 4, 0, 0))
    return structure(first, data=small.tobytes() + samples.tobytes())


def _strip(width: int, height: int, at: int, size: int) -> dict[int, Tag | Tags]:
    return {256: long(width), 257: long(height), 273: long(at), 278: long(height), 279: long(size)}


@pytest.fixture
def without_rawpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)


@pytest.mark.usefixtures("without_rawpy")
@pytest.mark.parametrize("name", ["a.dng", "a.tif", "a"])
@pytest.mark.parametrize("version", [True, False], ids=["DNG", "other"])
def test_preview_of_a_raw_file_is_not_taken_for_the_picture(tmp_path: Path, name: str, version: bool) -> None:
    path = tmp_path / name
    path.write_bytes(dng(version=version))
    assert looks_like_picture(path)
    for source in (path, path.read_bytes()):
        with pytest.raises(PictureError, match=r"is a camera's raw file, .*Install 'upscaler\[raw\]', or develop it"):
            decode(source)


@pytest.mark.usefixtures("without_rawpy")
def test_name_of_a_raw_file_is_believed_of_a_tiff_and_of_nothing_else(tmp_path: Path) -> None:
    for name, content, words in (
        ("a.nef", tiff(scene()), "raw file"),
        ("b.ARW", b"no picture at all", "name says RAW"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PictureError, match=words):
            decode(tmp_path / name)
    (tmp_path / "c.dng").write_bytes((Path(__file__).parents[2] / "samples/chelsea.png").read_bytes())
    assert decode(tmp_path / "c.dng").format == "PNG"


@pytest.mark.parametrize(
    "head",
    [
        b"II*\0\x10\0\0\0CR\2\0",
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1",
        b"II\x1a\0\0\0HEAPCCDR",
        b"FOVb\0\0\2\0",
        b"\0MRM\0\1",
    ],
)
def test_raw_files_of_all_makers_are_known_by_their_first_bytes(head: bytes) -> None:
    assert sniff(head.ljust(64, b"\0")) is by_name("RAW")


def test_raw_files_are_known_by_name_and_become_tiff() -> None:
    for suffix in (".nef", ".CR3", ".dng", ".pef", ".rw2", ".orf"):
        assert by_suffix(suffix) is by_name("RAW")


def test_ordinary_tiff_is_none() -> None:
    pixels = smooth(60, 40)
    for tags in ({}, {254: long(0)}, {330: {254: long(1), 256: long(1)}}, {330: (2, b"text")}, {330: long(10**9)}):
        np.testing.assert_array_equal(decode(tiff(pixels, tags)).pixels, pixels)


@pytest.mark.parametrize("orientation", [1, 6])
def test_raw_file_is_developed_by_the_camera_s_white_balance_upright(orientation: int) -> None:
    pytest.importorskip("rawpy")
    picture = decode(dng(orientation), name="a.dng")
    assert (picture.depth, picture.format, picture.profile) == (16, "RAW", None)
    inner: Any = (slice(4, -4), slice(4, -4))
    close(picture.pixels[inner], scene()[inner], 4)
    exif = picture.metadata.exif or b""
    assert b"Maker" in exif
    assert len(exif) < 1000  # without the maker's notes


def test_damaged_raw_file_is_refused() -> None:
    pytest.importorskip("rawpy")
    for content in (dng()[:30000], b"FUJIFILMCCD-RAW 0201" + bytes(500)):
        with pytest.raises(PictureError, match="the camera's raw file is damaged, or of an unknown kind"):
            decode(content, name="a.dng")


def test_raw_file_over_the_limit_is_refused_before_it_is_developed() -> None:
    pytest.importorskip("rawpy")
    with pytest.raises(PictureError, match="160x120 is 1 megapixels, over the limit"):
        decode(dng(), name="a.dng", max_pixels=1000)
