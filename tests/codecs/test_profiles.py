"""Colour profiles: kept, converted by, found where libvips and Pillow do not look."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import pyvips
from PIL import Image

from upscaler.codecs import decode
from upscaler.picture import Picture

from ..bad_files import saved
from ..tiffs import raw, short, smooth, tiff
from . import blocks, icc
from .checks import PHOTO, off, read_profile, same, seen, written


@pytest.mark.parametrize("depth", [8, 16])
def test_cmyk_goes_through_its_profile(depth: int) -> None:
    y, x = np.mgrid[:16, :16] / 15
    full = 2**depth - 1
    stored = np.rint(np.dstack([x, y, x * y, y / 3]) * full).astype(np.uint16 if depth == 16 else np.uint8)
    own = bytes(pyvips.Image.profile_load("cmyk"))
    picture = decode(tiff(stored, {262: short(5), 338: short(0), 34675: raw(own)} | {332: short(1)}))
    assert picture.pixels.shape == (16, 16, 3)
    assert picture.depth == depth
    assert np.abs(picture.pixels.astype(int) - icc.in_srgb(stored, own)).max() <= 3 * full // 255
    assert picture.profile != own
    assert picture.profile is None or picture.profile[16:20] == b"RGB "


def test_cmyk_with_a_damaged_profile_is_read_by_a_common_one() -> None:
    stored = np.zeros((8, 8, 4), np.uint8)
    common = bytes(pyvips.Image.profile_load("cmyk"))
    for own in (common[:3000], common[:128] + bytes(500), icc.ADOBE_RGB):
        assert decode(tiff(stored, {262: short(5), 338: short(0), 332: short(1), 34675: raw(own)})).pixels.min() > 245


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile_is_neither_negative_nor_garish(format: str) -> None:
    stored = np.zeros((32, 96, 4), np.uint8)
    stored[:, 32:64, 3] = 255
    stored[:, 64:, 0] = 255
    options = {"quality": 100} if format == "JPEG" else {}
    white, black, cyan = decode(saved(Image.fromarray(stored, "CMYK"), format, **options)).pixels[16, [16, 48, 80]]
    assert white.min() > 245
    assert black.max() < 60
    assert cyan[0] < 80
    assert cyan[2] > 180


def test_jpeg_2000_keeps_its_profile() -> None:
    jp2 = saved(Image.fromarray(smooth(64, 48)), "JPEG2000")
    header, colour = jp2.index(b"jp2h") - 4, jp2.index(b"colr") - 4
    new = (len(icc.DISPLAY_P3) + 11).to_bytes(4, "big") + b"colr\2\0\0" + icc.DISPLAY_P3
    length = int.from_bytes(jp2[header : header + 4], "big") + len(new) - 15
    jp2 = jp2[:header] + length.to_bytes(4, "big") + jp2[header + 4 : colour] + new + jp2[colour + 15 :]
    picture = decode(jp2)
    assert picture.profile == icc.DISPLAY_P3
    same(picture.pixels, smooth(64, 48))


@pytest.mark.parametrize(("codes", "profile"), [((12, 13), "p3"), ((1, 13), None)], ids=["p3", "srgb"])
def test_avif_that_names_its_colours_by_number_keeps_them(codes: tuple[int, int], profile: str | None) -> None:

    _, data = cv2.imencode(".avif", smooth(64, 48))
    at = data.tobytes().index(b"colrnclx") + 8
    avif = bytearray(data.tobytes())
    avif[at : at + 4] = bytes([0, codes[0], 0, codes[1]])
    assert decode(bytes(avif)).profile == (profile and bytes(pyvips.Image.profile_load(profile)))


@pytest.mark.parametrize("suffix", PHOTO)
@pytest.mark.parametrize("profile", [icc.DISPLAY_P3, icc.ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
def test_wide_colours_keep_their_appearance(tmp_path: Path, profile: bytes, suffix: str) -> None:
    pixels = smooth(60, 40)
    source = tmp_path / "source.png"
    source.write_bytes(blocks.png_of(pixels, profile))
    path = written(decode(source), tmp_path, suffix)
    kept = read_profile(path)
    assert kept == profile
    before, after = icc.in_srgb(pixels, profile), icc.in_srgb(seen(path), kept or b"")
    assert np.abs(before - pixels).mean() > 3  # without its profile it would look otherwise
    assert np.abs(before - after).mean() < 2


@pytest.mark.parametrize("suffix", ["bmp", "jp2", "ppm", "tga"])
def test_wide_colours_keep_their_appearance_without_a_profile(tmp_path: Path, suffix: str) -> None:
    pixels = smooth(60, 40)
    path = written(Picture(pixels, icc.ADOBE_RGB), tmp_path, suffix)
    assert np.abs(seen(path).astype(int) - icc.in_srgb(pixels, icc.ADOBE_RGB)).max() <= 1


@pytest.mark.parametrize("keep", [128, 200, 300])
@pytest.mark.parametrize("profile", [icc.GREY, icc.ADOBE_RGB], ids=["grey", "rgb"])
def test_damaged_profile_counts_as_srgb_where_it_must_be_used(tmp_path: Path, profile: bytes, keep: int) -> None:
    pixels = smooth(60, 40, 1 if profile is icc.GREY else 3)
    broken = profile[:keep] + bytes(max(len(profile) - keep, 0))
    assert off(seen(written(Picture(pixels, broken), tmp_path, "bmp")), pixels) < 0.5


@pytest.mark.parametrize("suffix", PHOTO)
def test_profile_survives_to_the_byte(tmp_path: Path, enlarged: dict[str, Picture], suffix: str) -> None:
    for source in PHOTO:
        assert read_profile(written(enlarged[source], tmp_path, suffix)) == icc.DISPLAY_P3, source
