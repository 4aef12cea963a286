"""Metadata on its way from file to file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, IptcImagePlugin

from upscaler.codecs import decode
from upscaler.picture import Metadata, Picture
from upscaler.tiling import Size

from ..bad_files import png_chunk, png_with
from ..tiffs import smooth, text, tiff
from . import blocks, icc
from .checks import PHOTO, WRITTEN, by_vips, off, seen, written


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
def test_metadata_is_read_whole(suffix: str) -> None:
    metadata = decode(blocks.file_with_all(suffix, smooth(60, 40), icc.DISPLAY_P3)).metadata
    assert metadata.exif is not None
    assert blocks.MAKER_NOTE in metadata.exif
    assert metadata.xmp == blocks.xmp(60, 40)
    assert metadata.iptc == (blocks.iptc() if suffix in ("jpg", "png", "tif") else None)
    assert metadata.dpi == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "large"])
@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
def test_tiff_gives_its_exif_and_nothing_of_its_structure(order: str, big: bool) -> None:
    file = tiff(smooth(60, 40, 3, 16), blocks.camera_tags(60, 40), order, big)
    block = decode(file).metadata.exif
    assert block is not None
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    assert not {256, 257, 258, 259, 262, 273, 277, 278, 279} & set(exif)
    assert (exif[0x0110], exif[0x4746]) == ("NIKON Z 8", 5)
    details, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    assert details[0x829A] == 1 / 250
    assert float(details[0x9204]) == pytest.approx(-1 / 3)
    assert details[0x927C] == blocks.MAKER_NOTE
    assert place[2] == (52, 31, 12.5)


def test_description_that_programs_write_is_left_out() -> None:
    assert decode(tiff(smooth(6, 4), {270: text('{"shape": [4, 6, 3]}')})).metadata.exif is None


def test_texts_of_a_png_are_read_in_their_own_alphabets() -> None:
    png = png_with(
        png_chunk(b"tEXt", b"parameters\0a cat, steps: 20"),
        png_chunk(b"tEXt", b"Autor\xfc\0M\xfcller"),
        png_chunk(b"iTXt", "Titel\0\0\0de\0Titel\0漢字".encode()),
        png_chunk(b"iTXt", b"broken\0\1\0\0\0not compressed"),
        png_chunk(b"tEXt", b"parameters\0a second one"),
    )
    texts = {"parameters": "a cat, steps: 20", "Autorü": "Müller", "Titel": "漢字"}
    assert decode(png).metadata.comments == texts


@pytest.mark.parametrize("suffix", PHOTO)
@pytest.mark.parametrize("source", PHOTO)
def test_exif_survives_and_is_corrected(tmp_path: Path, enlarged: dict[str, Picture], source: str, suffix: str) -> None:
    path = written(enlarged[source], tmp_path, suffix)
    with Image.open(path) as image:
        exif = image.getexif()
        details, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        assert image.size == (80, 120)
    assert exif.get(0x0112, 1) == 1
    assert (exif[0x010F], exif[0x0110]) == ("NIKON CORPORATION", "NIKON Z 8")
    assert (exif[0x013B], exif[0x8298], exif[0x4746]) == (blocks.AUTHOR, "(c) Ann", 5)
    assert details[0x829A] == 1 / 250
    assert (details[0x9003], details[0x9011]) == ("2024:01:02 03:04:05", "+01:00")
    assert details[0x9204] == pytest.approx(-1 / 3)
    assert details[0x927C] == blocks.MAKER_NOTE
    assert details[0xA434] == "NIKKOR Z 24-70mm f/2.8 S"
    assert tuple(float(value) for value in details[0xA432]) == pytest.approx((24, 70, 2.8, 4))
    assert (details[0xA002], details[0xA003]) == (80, 120)
    assert (place[1], place[2], place[3], place[4]) == ("N", (52, 31, 12.5), "E", (13, 24, 1))
    assert place[0] == b"\2\3\0\0"
    assert blocks.THUMBNAIL not in path.read_bytes()
    assert not exif.get_ifd(1)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif"])
@pytest.mark.parametrize("source", ["jpg", "png", "webp"])
def test_exif_keeps_its_bytes_so_that_the_maker_can_read_them(
    tmp_path: Path, enlarged: dict[str, Picture], source: str, suffix: str
) -> None:
    """A MakerNote counts from the beginning of the block. A TIFF's block is the whole file, so there it must move."""
    block = enlarged[source].metadata.exif
    assert block is not None
    original = blocks.exif(60, 40, 6)
    assert block.index(blocks.MAKER_NOTE) == original.index(blocks.MAKER_NOTE)
    assert block in written(enlarged[source], tmp_path, suffix).read_bytes()


@pytest.mark.parametrize("suffix", PHOTO)
@pytest.mark.parametrize("source", PHOTO)
def test_xmp_survives_and_is_corrected(tmp_path: Path, enlarged: dict[str, Picture], source: str, suffix: str) -> None:
    path = written(enlarged[source], tmp_path, suffix)
    packet = bytes(by_vips(path).get("xmp-data"))
    wanted = blocks.xmp(60, 40, 6).decode()
    for old, new in (
        ('tiff:Orientation="6"', 'tiff:Orientation="1"'),
        ('tiff:ImageWidth="60"', 'tiff:ImageWidth="80"'),
        ("<exif:PixelXDimension>60<", "<exif:PixelXDimension>80<"),
        ("<exif:PixelYDimension>40<", "<exif:PixelYDimension>120<"),
        ("<xmp:Thumbnails><rdf:Alt><rdf:li>/9j/old</rdf:li></rdf:Alt></xmp:Thumbnails>", ""),
    ):
        assert old in wanted
        wanted = wanted.replace(old, new)
    assert packet.decode() == wanted


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
@pytest.mark.parametrize("source", ["jpg", "tif", "png"])
def test_iptc_survives(tmp_path: Path, enlarged: dict[str, Picture], source: str, suffix: str) -> None:
    path = written(enlarged[source], tmp_path, suffix)
    if suffix == "png":  # Pillow does not know this place; ImageMagick's notation is documented by exiftool
        with Image.open(path) as image:
            _, label, size, digits = image.info["Raw profile type iptc"].split("\n")[:4]
        assert (label, int(size)) == ("iptc", len(digits) // 2)
        assert blocks.iptc() in bytes.fromhex(digits)
        return
    with Image.open(path) as image:
        records: Any = IptcImagePlugin.getiptcinfo(image)
    title, author, city = blocks.TITLE.encode(), blocks.AUTHOR.encode(), blocks.CITY.encode()
    assert (records[2, 5], records[2, 80], records[2, 90]) == (title, author, city)


@pytest.mark.parametrize("suffix", [suffix for suffix, format in WRITTEN.items() if "dpi" in format.metadata])
@pytest.mark.parametrize("exif", [False, True], ids=["alone", "beside EXIF without one"])
def test_resolution_survives(tmp_path: Path, suffix: str, exif: bool) -> None:
    block = blocks.structure({0x0110: blocks.text("NIKON Z 8")}) if exif else None
    path = written(Picture(smooth(60, 40), metadata=Metadata(block, dpi=(300, 150))), tmp_path, suffix)
    assert decode(path).metadata.dpi == pytest.approx((300, 150), abs=0.1)
    with Image.open(path) as image:
        if suffix in ("webp", "avif"):
            across, down, unit = (image.getexif()[tag] for tag in (0x011A, 0x011B, 0x0128))
            assert (across, down, unit) == (300, 150, 2)
        else:
            assert image.info["dpi"] == pytest.approx((300, 150), abs=0.1)
        if exif and "exif" in WRITTEN[suffix].metadata:
            assert image.getexif()[0x0110] == "NIKON Z 8"


@pytest.mark.parametrize("suffix", PHOTO)
def test_nothing_is_made_up(tmp_path: Path, suffix: str) -> None:
    """libvips on its own writes a version, a colour space and a resolution that no one has stated."""
    path = written(Picture(smooth(60, 40)), tmp_path, suffix)
    with Image.open(path) as image:
        assert not image.getexif() or suffix == "tif"
        assert not image.getexif().get_ifd(0x8769)
        assert {"exif", "xmp", "icc_profile", "photoshop", "comment"}.isdisjoint(image.info)


def test_texts_of_a_png_survive(tmp_path: Path) -> None:
    texts = {"parameters": "a cat, steps: 20", "Autorü": "Müller", "Titel": "漢字\nzwei", "long": "x" * 70000}
    path = written(Picture(smooth(6, 4), metadata=Metadata(comments=texts)), tmp_path, "png")
    with Image.open(path) as image:
        image.load()
        assert dict(image.text) == texts
    assert decode(path).metadata.comments == texts


@pytest.mark.parametrize("suffix", PHOTO)
@pytest.mark.parametrize("block", [b"garbage" * 10, b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"])
def test_exif_that_is_none_is_left_out(tmp_path: Path, suffix: str, block: bytes) -> None:
    path = written(Picture(smooth(6, 4), metadata=Metadata(exif=block)), tmp_path, suffix)
    assert seen(path).shape[:2] == (4, 6)
    with Image.open(path) as image:
        assert "exif" not in image.info


@pytest.mark.parametrize("suffix", PHOTO)
@pytest.mark.parametrize("kind", ["exif", "xmp", "iptc"])
def test_metadata_too_long_for_its_format_never_breaks_the_file(tmp_path: Path, suffix: str, kind: str) -> None:
    long = {
        "exif": blocks.structure({0x0110: blocks.text("x" * 100_000)}),
        "xmp": b"<x>" + b"a" * 100_000 + b"</x>",
        "iptc": blocks.iptc() + b"\x1c\2\x78\x7f\xff" + b"a" * 0x7FFF + b"\x1c\2\x78\x7f\xff" + b"a" * 0x7FFF,
    }
    path = written(Picture(smooth(60, 40), metadata=Metadata(**{kind: long[kind]})), tmp_path, suffix)
    assert off(seen(path), smooth(60, 40)) < 3
    assert decode(path).size == Size(60, 40)


def test_metadata_too_long_for_its_format_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metadata = Metadata(exif=blocks.structure({0x0110: blocks.text("x" * 100_000)}), xmp=b"<x>" + b"a" * 100_000)
    with caplog.at_level(logging.WARNING, "upscaler"):
        written(Picture(smooth(6, 4), metadata=metadata), tmp_path, "jpg")
        written(Picture(smooth(6, 4), metadata=metadata), tmp_path, "webp")
    for words in ("the EXIF block of", "the XMP block of"):
        assert words in caplog.text
    assert caplog.text.count("it is left out") == 3
