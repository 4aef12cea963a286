"""The eight orientations of EXIF."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from upscaler.codecs import decode
from upscaler.codecs.orientation import turn_upright
from upscaler.picture import Metadata, Picture

from ..bad_files import saved
from ..tiffs import smooth
from .checks import ORIENTATIONS, close

CORNERS = {1: "abcd", 2: "badc", 3: "dcba", 4: "cdab", 5: "acbd", 6: "cadb", 7: "dbca", 8: "bdac"}
"""What a picture of the corners a b, c d looks like when it is upright."""


@pytest.mark.parametrize("orientation", CORNERS)
def test_stored_pixels_are_turned_as_exif_defines(orientation: int) -> None:
    stored = np.frombuffer(b"abcd", np.uint8).reshape(2, 2, 1)
    assert turn_upright(Picture(stored), orientation).pixels.tobytes().decode() == CORNERS[orientation]


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_orientation_that_is_none_changes_nothing(orientation: int) -> None:
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    picture = turn_upright(Picture(stored, metadata=Metadata(dpi=(300, 72))), orientation)
    assert picture.pixels is stored
    assert picture.metadata.dpi == (300, 72)


def test_sides_change_places_from_5_on() -> None:
    stored = np.zeros((2, 3, 1), np.uint8)
    for orientation in range(1, 9):
        picture = turn_upright(Picture(stored, metadata=Metadata(dpi=(300, 72))), orientation)
        assert (picture.pixels.shape == (3, 2, 1)) == (picture.metadata.dpi == (72, 300)) == (orientation >= 5)
        assert turn_upright(Picture(stored), orientation).metadata.dpi is None


def xmp(orientation: int, as_element: bool = False) -> bytes:
    element, attribute = f"<tiff:Orientation>{orientation}</tiff:Orientation>", f'<x tiff:Orientation="{orientation}"/>'
    return f"<x:xmpmeta>{element if as_element else attribute}</x:xmpmeta>".encode()


@pytest.mark.parametrize("as_element", [False, True])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_orientation_in_xmp_alone_counts_as_pillow_reads_it(format: str, orientation: int, as_element: bool) -> None:
    options = {"xmp": xmp(orientation, as_element)}
    if format == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode())
        options = {"pnginfo": texts}  # type: ignore[dict-item]
    content = saved(Image.fromarray(smooth(60, 40)), format, quality=95, **options)
    with Image.open(io.BytesIO(content)) as image:
        wanted = ImageOps.exif_transpose(image)
    assert wanted.size == ((40, 60) if orientation > 4 else (60, 40))
    close(decode(content).pixels, np.asarray(wanted), 1.5)


def test_orientation_in_exif_counts_before_that_in_xmp() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    for format in ("JPEG", "WEBP"):
        content = saved(Image.fromarray(smooth(60, 40)), format, quality=95, exif=exif, xmp=xmp(6))
        close(decode(content).pixels, smooth(60, 40)[::-1, ::-1], 2)


@pytest.mark.parametrize("name", ["exif", "APP1"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_exif_that_a_png_holds_as_a_text_counts(name: str, prefix: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    block = prefix + exif.tobytes().removeprefix(b"Exif\0\0")
    texts = PngImagePlugin.PngInfo()
    texts.add_text(f"Raw profile type {name}", f"\n{name}\n{len(block):8}\n{block.hex()}\n", zip=True)
    picture = decode(saved(Image.fromarray(smooth(60, 40)), "PNG", pnginfo=texts))
    close(picture.pixels, np.rot90(smooth(60, 40), -1), 0)
    assert b"Maker" in (picture.metadata.exif or b"")
    assert picture.metadata.comments == {}
