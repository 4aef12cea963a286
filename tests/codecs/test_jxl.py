"""JPEG XL, where its package is; else a sentence says which."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscaler.codecs import EncodeOptions, by_name, check, decode, sniff
from upscaler.errors import OutputError, PictureError
from upscaler.picture import Metadata, Picture
from upscaler.tiling import Size

from ..tiffs import smooth
from . import icc
from .checks import close, same, written

CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"


def test_both_kinds_of_file_are_known() -> None:
    for head in (CONTAINER, b"\xff\x0a\xfa"):
        assert sniff(head.ljust(64, b"\0")) is by_name("JXL")


def test_package_that_lacks_is_named_before_anything_is_computed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pylibjxl", None)
    with pytest.raises(PictureError, match=r"^a\.jxl: JPEG XL needs pylibjxl\. Install 'upscaler\[jxl\]'"):
        decode(CONTAINER + bytes(100), name="a.jxl")
    with pytest.raises(OutputError, match=r"a\.jxl: JPEG XL needs pylibjxl\. Install 'upscaler\[jxl\]'"):
        check(tmp_path / "a.jxl", EncodeOptions(), Size(4, 4))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pixels_come_back(tmp_path: Path, channels: int) -> None:
    pytest.importorskip("pylibjxl")
    pixels = smooth(60, 40, channels)
    colour = np.repeat(pixels[:, :, :1], 3, 2) if channels <= 2 else pixels[:, :, :3]
    wanted = np.dstack([colour, pixels[:, :, -1:]]) if channels in (2, 4) else colour
    same(decode(written(Picture(pixels), tmp_path, "jxl", lossless=True)).pixels, wanted)
    close(decode(written(Picture(pixels), tmp_path, "jxl")).pixels, wanted, 2)


def test_profile_and_metadata_come_back_and_nothing_is_turned_twice(tmp_path: Path) -> None:
    pytest.importorskip("pylibjxl")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    metadata = Metadata(exif=exif.tobytes().removeprefix(b"Exif\0\0"), xmp=b"<x/>")
    picture = decode(written(Picture(smooth(60, 40), icc.ADOBE_RGB, metadata), tmp_path, "jxl", lossless=True))
    same(picture.pixels, smooth(60, 40))
    assert picture.profile == icc.ADOBE_RGB
    assert b"Maker" in (picture.metadata.exif or b"")
    assert picture.metadata.xmp == b"<x/>"
    turned = replace(picture, metadata=Metadata(exif=metadata.exif))
    same(decode(written(turned, tmp_path, "jxl", lossless=True)).pixels, smooth(60, 40))


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pylibjxl")
    content = written(Picture(smooth(60, 40)), tmp_path, "jxl").read_bytes()
    for bad in (content[:50], content[: len(content) // 2], CONTAINER + bytes(100)):
        with pytest.raises(PictureError):
            decode(bad)
