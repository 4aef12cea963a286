"""Gain maps of photographs: kept in JPEG, enlarged and turned with the picture; elsewhere their loss is said."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from upscaler.codecs import decode, extras
from upscaler.notices import collect
from upscaler.picture import Picture
from upscaler.tiling import Region, Size

from ..tiffs import smooth
from .checks import written
from .test_extras import jpeg

pytestmark = pytest.mark.skipif(
    not pyvips.vips_lib.vips_type_find(b"VipsOperation", b"uhdrsave_target"), reason="libvips before 8.18"
)
WIDTH, HEIGHT = 320, 240


def photograph(orientation: int = 1) -> bytes:
    """Brighter than white to the right, as phones write it."""
    light = np.dstack([smooth(WIDTH, HEIGHT, 1) / 255 * top for top in (4, 3, 2)]).astype(np.float32)
    image = pyvips.Image.new_from_memory(light.tobytes(), WIDTH, HEIGHT, 3, "float").copy(interpretation="scrgb")
    content = image.uhdrsave_buffer(Q=95)
    at = content.index(b"Exif\0\0II*\0") + 6
    block = bytearray(content)
    assert block[at + 10 : at + 12] == struct.pack("<H", 274)
    block[at + 18 : at + 20] = struct.pack("<H", orientation)
    return bytes(block)


def in_light(content: bytes) -> Any:
    """What a display of high range shows, (height, width, 3), by libvips."""
    return pyvips.Image.uhdrload_buffer(content).uhdr2scRGB().numpy()


def enlarge(picture: Picture) -> Picture:
    return replace(picture, pixels=picture.pixels.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("strip", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_gain_map_is_enlarged_and_turned_with_the_picture(tmp_path: Path, orientation: int, strip: bool) -> None:
    content = photograph(orientation)
    with collect() as texts:
        path = written(enlarge(decode(content)), tmp_path, "jpg", strip=strip)
    assert texts == []
    shown = in_light(content)
    wanted = {1: shown, 3: shown[::-1, ::-1], 6: np.rot90(shown, -1)}[orientation].repeat(2, 0).repeat(2, 1)
    found = in_light(path.read_bytes())
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).mean() < 0.03
    assert wanted.max() > 2  # brighter than white
    again = decode(path)
    assert again.metadata.gain_map is not None
    assert again.metadata.gain_map.pixels.shape[1] == (WIDTH if orientation != 6 else HEIGHT)


def test_other_metadata_stand_beside_the_gain_map(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    metadata = replace(
        decode(photograph()).metadata,
        exif=exif.tobytes().removeprefix(b"Exif\0\0"),
        xmp=b'<x:xmpmeta><x xmp:Rating="5" hdrgm:Version="1.0"/></x:xmpmeta>',
        dpi=(300.0, 300.0),
    )
    picture = replace(decode(photograph()), metadata=metadata)
    path = written(picture, tmp_path, "jpg")
    with Image.open(path) as image:
        assert image.getexif()[0x010F] == "Maker"
        assert image.info["dpi"] == (300, 300)
        assert image.info["xmp"] == b'<x:xmpmeta><x xmp:Rating="5"/></x:xmpmeta>'
        assert image.n_frames == 2
        entry = image.mpinfo[0xB002][0]
        image.seek(1)
        assert image.size == (WIDTH // 2, HEIGHT // 2)
    content = path.read_bytes()
    assert content[entry["Size"] : entry["Size"] + 3] == b"\xff\xd8\xff"
    assert content.count(b"Exif\0\0") == 1


@pytest.mark.parametrize("suffix", ["png", "webp", "avif", "tif", "bmp"])
def test_loss_of_a_gain_map_is_said(tmp_path: Path, suffix: str) -> None:
    with collect() as texts:
        written(decode(photograph(), name="a.jpg"), tmp_path, suffix)
    assert f"a.jpg: {extras.NO_RANGE}" in texts


def test_gain_map_of_an_unknown_kind_is_said_to_be_left_out() -> None:
    with collect() as texts:
        picture = decode(jpeg() + jpeg(b"<x HDRGainMap:HDRGainMapVersion='1'/>"), name="a.jpg")
    assert picture.metadata.gain_map is None
    assert texts == [f"a.jpg: {extras.NO_RANGE}"]


def test_gain_map_follows_a_crop() -> None:
    metadata = decode(photograph()).metadata
    part = metadata.crop_to(Region(WIDTH // 2, 0, WIDTH // 4, HEIGHT // 2), Size(WIDTH, HEIGHT))
    found = part.correct(Size(WIDTH, HEIGHT * 2)).gain_map
    assert found is not None
    assert metadata.gain_map is not None
    height, width, _ = metadata.gain_map.pixels.shape
    assert found.pixels.shape == (height * 2, width, 1)
    middle = metadata.gain_map.pixels[: height // 2, width // 2 : width * 3 // 4].mean()
    assert abs(float(found.pixels.mean()) - float(middle)) < 2


def test_gain_map_follows_any_proportion() -> None:
    metadata = decode(photograph()).metadata.correct(Size(WIDTH * 3, HEIGHT // 2))
    assert metadata.gain_map is not None
    assert metadata.gain_map.pixels.shape == (HEIGHT // 4, WIDTH * 3 // 2, 1)
