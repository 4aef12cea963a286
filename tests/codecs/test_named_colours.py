"""Colours that files name without embedding a profile."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from upscaler.codecs import decode
from upscaler.codecs.named_colours import from_code_points
from upscaler.codecs.profiles import fits
from upscaler.notices import collect
from upscaler.picture import Picture

from ..bad_files import png_chunk, saved
from ..tiffs import smooth
from . import blocks, icc
from .checks import seen, written

COLOUR = smooth(60, 40) // 2 + 64  # within what sRGB holds of all of them
BT2020_IN_SRGB = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""ITU-R BT.2087."""


def png(*chunks: tuple[bytes, bytes], pixels: NDArray[Any] = COLOUR) -> bytes:
    whole = saved(Image.fromarray(pixels), "PNG")
    return whole[:33] + b"".join(png_chunk(*chunk) for chunk in chunks) + whole[33:]


def avif(primaries: int, transfer: int) -> bytes:
    whole = bytearray(saved(Image.fromarray(COLOUR), "AVIF", quality=100, subsampling="4:4:4"))
    at = whole.index(b"colrnclx") + 8
    whole[at : at + 4] = struct.pack(">HH", primaries, transfer)
    return bytes(whole)


def read(content: bytes) -> tuple[Picture, list[str]]:
    with collect() as texts:
        return decode(content, name="a"), texts


def shown(picture: Picture) -> NDArray[Any]:
    """Its pixels in sRGB."""
    pixels = np.ascontiguousarray(picture.pixels)
    return pixels.astype(int) if picture.profile is None else icc.in_srgb(pixels, picture.profile)


def linear(pixels: NDArray[Any]) -> NDArray[Any]:
    value = pixels / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def encoded(light: NDArray[Any]) -> NDArray[Any]:
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255


@pytest.mark.parametrize("transfer", [1, 13, 14])
@pytest.mark.parametrize("by", [png, avif], ids=["PNG", "AVIF"])
def test_bt2020_and_p3_look_as_they_are_named(by: Any, transfer: int) -> None:
    wide = [
        read(avif(number, transfer) if by is avif else png((b"cICP", bytes([number, transfer, 0, 1]))))
        for number in (9, 12)
    ]
    assert [texts for _, texts in wide] == [[], []]
    np.testing.assert_allclose(shown(wide[0][0]), encoded(linear(wide[0][0].pixels) @ BT2020_IN_SRGB.T), atol=2)
    np.testing.assert_allclose(shown(wide[1][0]), icc.in_srgb(wide[1][0].pixels, icc.DISPLAY_P3), atol=2)


@pytest.mark.parametrize(("transfer", "curve"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_never_read_in_silence(transfer: int, curve: str) -> None:
    for content in (png((b"cICP", bytes([9, transfer, 0, 1]))), avif(9, transfer)):
        picture, texts = read(content)
        assert texts == [f"a: the picture has a high dynamic range ({curve}); it will look flat."]
        assert picture.profile is not None


def test_numbers_that_are_unknown_are_said_and_unstated_ones_are_srgb() -> None:
    assert from_code_points(77, 13).words == (
        "it names its colours by numbers that are not known here (77, 13); they may be wrong."
    )
    assert from_code_points(1, 9).words is not None
    for numbers in ((2, 2), (1, 1), (1, 13), (1, 14), (2, 13)):
        assert from_code_points(*numbers) == (None, None)


def chrm(*numbers: float) -> tuple[bytes, bytes]:
    """White, red, green, blue."""
    return b"cHRM", struct.pack(">8I", *(round(number * 100000) for number in numbers))


ADOBE = chrm(0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
GAMMA = (b"gAMA", struct.pack(">I", round(100000 / 2.19921875)))


def test_chromaticities_and_gamma_of_a_png_count() -> None:
    picture, texts = read(png(ADOBE, (b"gAMA", struct.pack(">I", 60000))))
    assert texts == []
    by_hand = icc.rgb_profile("", icc.ADOBE, icc.gamma(1 / 0.6))
    np.testing.assert_allclose(shown(picture), icc.in_srgb(COLOUR, by_hand), atol=2)


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"sRGB", b"\0"), ADOBE],
        [GAMMA],
        [chrm(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), GAMMA],
        [(b"gAMA", bytes(4))],
        [(b"gAMA", b"\xff" * 4)],
        [(b"cHRM", b"short")],
    ],
)
def test_png_that_is_srgb_or_states_nonsense_has_no_profile(chunks: list[tuple[bytes, bytes]]) -> None:
    assert read(png(*chunks))[0].profile is None


@pytest.mark.parametrize("numbers", [[0.0] * 8, [0.3] * 8, [0.3127, 0.329, 0.64, 0.33, 0.64, 0.33, 0.15, 0.06]])
def test_impossible_chromaticities_are_said(numbers: list[float]) -> None:
    picture, texts = read(png(chrm(*numbers)))
    assert picture.profile is None
    assert texts == ["a: it names colours that cannot be; they are taken for sRGB."]


def test_embedded_profile_counts_before_what_is_named() -> None:
    whole = blocks.png_of(COLOUR, icc.ADOBE_RGB)
    named = whole[:33] + png_chunk(b"cICP", bytes([12, 13, 0, 1])) + whole[33:]
    assert decode(named).profile == icc.ADOBE_RGB


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp"])
def test_grey_pixels_keep_the_curve_of_an_rgb_profile(tmp_path: Path, suffix: str) -> None:
    grey = smooth(60, 40, 1)
    profile = icc.rgb_profile("Gamma 1.5", icc.P3, icc.gamma(1.5))
    picture, texts = read(saved(Image.fromarray(grey[:, :, 0]), "PNG", icc_profile=profile))
    assert texts == []
    assert fits(picture.profile, 1)
    wanted = encoded((grey / 255) ** 1.5)
    assert np.abs(wanted - grey).mean() > 10
    assert np.abs(shown(picture)[:, :, :1] - wanted).mean() < 1
    path = written(picture, tmp_path, suffix)
    with Image.open(path) as image:
        kept = image.info.get("icc_profile")
    result = np.ascontiguousarray(seen(path))
    looks = result if kept is None else icc.in_srgb(result, kept)
    assert np.abs(looks[:, :, :1] - wanted).mean() < 2


def test_profile_of_other_pixels_is_left_out_and_said() -> None:
    for profile in (icc.GREY, b"nonsense" * 40):
        content = io.BytesIO()
        Image.fromarray(COLOUR).save(content, "TIFF", icc_profile=profile)
        picture, texts = read(content.getvalue())
        assert picture.profile is None
        assert texts == ["a: its colour profile is damaged, or for other pixels; they are taken for sRGB."]
