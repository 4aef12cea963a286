"""An EXIF block put right: the values that have changed, and not a byte more."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from upscaler.codecs.orientation import turn_upright
from upscaler.picture import Picture
from upscaler.picture.exif import correct_exif
from upscaler.tiling import Region, Size, Window

from ..codecs import blocks
from ..tiffs import ASCII, long, rational, short, structure, text

NEW = Size(240, 160)
LARGE = Size(70000, 50000)


def read(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    return exif


def right(block: bytes, size: Size = NEW, dpi: tuple[float, float] | None = None) -> bytes:
    corrected = correct_exif(block, size, dpi)
    assert corrected is not None
    return corrected


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_becomes_upright(order: str, orientation: int) -> None:
    assert read(right(blocks.exif(60, 40, orientation, order)))[0x0112] == 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("size", [Size(240, 160), LARGE], ids=str)
def test_size_becomes_the_new_one_even_beyond_16_bits(order: str, size: Size) -> None:
    block = structure(dict(blocks.camera_tags(60, 40)) | {256: short(60), 257: long(40)}, order)
    exif = read(right(block, size))
    details = exif.get_ifd(0x8769)
    assert (exif[256], exif[257]) == (size.width, size.height)
    assert (details[0xA002], details[0xA003]) == (size.width, size.height)


@pytest.mark.parametrize("order", ["<", ">"])
def test_thumbnail_is_gone_and_cannot_be_dug_out(order: str) -> None:
    block = blocks.exif(60, 40, 1, order)
    assert blocks.THUMBNAIL in block
    corrected = right(block)
    assert b"thumbnail" not in corrected
    assert not read(corrected).get_ifd(1)
    assert len(corrected) == len(block) - len(blocks.THUMBNAIL)


def test_thumbnail_in_the_middle_is_blotted_out() -> None:
    plain = structure({0x0110: text("NIKON Z 8")})
    end = structure({0x0110: text("NIKON Z 8")}, data=blocks.THUMBNAIL, next_tags={0x0201: long(16), 0x0202: long(99)})
    block = end.replace(struct.pack("<I", 99), struct.pack("<I", len(blocks.THUMBNAIL)))
    assert b"thumbnail" in block
    corrected = right(block)
    assert b"thumbnail" not in corrected
    assert len(corrected) == len(block)
    assert read(corrected)[0x0110] == read(plain)[0x0110]


@pytest.mark.parametrize("order", ["<", ">"])
def test_everything_else_keeps_its_bytes_and_its_place(order: str) -> None:
    block = blocks.exif(60, 40, 6, order)
    corrected = right(block)
    changed = [at for at, (old, new) in enumerate(zip(block, corrected, strict=False)) if old != new]
    second = block.index(struct.pack(order + "HHI", 0x0103, 3, 1)) - 2
    assert all(at >= second or len(block[at : at + 12]) == 12 for at in changed)
    first = [at for at in changed if at < second]
    assert len(first) <= 2 + 2 + 2 + 4  # orientation, width, height, link
    assert corrected.index(blocks.MAKER_NOTE) == block.index(blocks.MAKER_NOTE)
    before, after = read(block), read(corrected)
    for tag in set(before) - {0x0112, 0x8769, 0x8825}:
        assert after[tag] == before[tag], hex(tag)
    for directory, touched in ((0x8769, {0xA002, 0xA003}), (0x8825, set())):
        for tag, value in before.get_ifd(directory).items():
            assert tag in touched or after.get_ifd(directory)[tag] == value, hex(tag)


def test_tags_that_are_absent_are_not_added() -> None:
    block = structure({0x0110: text("NIKON Z 8")})
    assert right(block, LARGE, (300, 300)) == block


def test_putting_right_twice_is_putting_right_once() -> None:
    once = right(blocks.exif(60, 40, 6))
    assert right(once) == once


@pytest.mark.parametrize(
    ("stated", "unit", "dpi", "wanted"),
    [
        ((300, 1), 2, (300, 300), (300, 300)),
        ((300, 1), 2, (300.001, 299.999), (300, 300)),
        ((720000, 10000), 2, (300, 150), (300, 150)),
        ((72, 1), 2, (96.5, 96.5), (96.5, 96.5)),
        ((118, 1), 3, (300, 300), (300, 300)),
        ((0, 0), 2, (300, 300), (300, 300)),
    ],
)
def test_resolution_is_the_picture_s_own(
    stated: tuple[int, int], unit: int, dpi: tuple[float, float], wanted: tuple[float, float]
) -> None:
    block = structure({0x011A: rational(*stated), 0x011B: rational(*stated), 0x0128: short(unit)})
    exif = read(right(block, dpi=dpi))
    assert (float(exif[0x011A]), float(exif[0x011B]), exif[0x0128]) == pytest.approx((*wanted, 2))


def test_resolution_that_agrees_keeps_its_digits() -> None:
    block = structure({0x011A: rational(720000, 10000), 0x011B: rational(720000, 10000), 0x0128: short(2)})
    assert right(block, dpi=(72, 72)) == block
    assert right(block) == block


@pytest.mark.parametrize(
    "block", [b"", b"II", b"garbage" * 9, b"II*\0\x08\0\0\0", b"MM\0*\x7f\xff\xff\xff", b"II+\0" * 9]
)
def test_block_that_is_none_is_refused(block: bytes) -> None:
    assert correct_exif(block, Size(6, 4)) is None


def test_broken_block_never_raises() -> None:
    block = blocks.exif(60, 40, 6)
    for end in range(0, len(block), 3):
        correct_exif(block[:end], Size(6, 4), (300, 300))
    for at in range(len(block) - len(blocks.MAKER_NOTE)):
        correct_exif(block[:at] + b"\xff" + block[at + 1 :], Size(6, 4), (300, 300))


def test_block_without_the_end_of_its_chain_is_corrected() -> None:
    block = structure({0x0112: short(6), 0x0110: (ASCII, b"Z8\0")})[:-4]
    assert struct.pack("<HHIHH", 0x0112, 3, 1, 1, 0) in right(block)


def test_saved_by_pillow_and_corrected_it_is_read_by_pillow() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 8, "Z 8"
    file = io.BytesIO()
    Image.new("RGB", (6, 4)).save(file, "JPEG", exif=exif)
    with Image.open(file) as image:
        block = image.info["exif"].removeprefix(b"Exif\0\0")
    assert dict(read(right(block))) == {0x0112: 1, 0x0110: "Z 8"}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_place_of_the_subject_is_turned_and_scaled_with_the_pixels(order: str, orientation: int) -> None:
    """A marked place of an array that is turned as the pixels are."""
    old = Size(60, 40) if orientation <= 4 else Size(40, 60)
    marked = np.zeros((40, 60, 1), np.uint8)
    marked[12, 16] = 1
    (upright,) = np.argwhere(turn_upright(Picture(marked), orientation).pixels[:, :, 0])
    block = structure({274: short(orientation), 0x8769: {0x9214: short(16, 12, 10, 6), 0xA214: short(16, 12)}}, order)
    corrected = correct_exif(block, Size(old.width * 4, old.height * 4), None, Window.all(old))
    assert corrected is not None
    details = read(corrected).get_ifd(0x8769)
    x, y = 4 * int(upright[1]), 4 * int(upright[0])
    assert details[0x9214] == ((x, y, 40, 24) if orientation <= 4 else (x, y, 24, 40))
    assert details[0xA214] == (x, y)


def test_place_of_the_subject_follows_a_crop() -> None:
    block = structure({274: short(1), 0x8769: {0x9214: short(16, 12, 10, 6), 0xA214: short(5, 39)}})
    corrected = correct_exif(block, Size(40, 60), None, Window(Size(60, 40), Region(10, 5, 20, 30)))
    assert corrected is not None
    details = read(corrected).get_ifd(0x8769)
    assert details[0x9214] == (12, 14, 20, 12)
    assert details[0xA214] == (0, 68)


def test_resolution_on_the_sensor_is_scaled() -> None:
    block = structure(
        {274: short(6), 0x8769: {0xA20E: rational(3000, 1), 0xA20F: rational(49281600, 9855), 0xA210: short(2)}}
    )
    corrected = correct_exif(block, Size(160, 240), None, Window.all(Size(40, 60)))
    assert corrected is not None
    details = read(corrected).get_ifd(0x8769)
    assert float(details[0xA20E]) == pytest.approx(4 * 49281600 / 9855, rel=1e-6)
    assert float(details[0xA20F]) == pytest.approx(12000)
    alone = correct_exif(
        structure({0x8769: {0xA20E: rational(3000, 1)}}), Size(240, 160), None, Window.all(Size(60, 40))
    )
    assert float(read(alone or b"").get_ifd(0x8769)[0xA20E]) == 12000
    for odd in (rational(0, 0), rational(2**32 - 1, 1)):
        assert correct_exif(structure({0x8769: {0xA20E: odd, 0xA20F: odd}}), Size(9, 9), None, Window.all(Size(3, 3)))


def test_places_stay_where_the_old_size_is_not_known() -> None:
    block = structure({0x8769: {0x9214: short(16, 12, 10, 6)}})
    assert correct_exif(block, Size(9, 9)) == block
