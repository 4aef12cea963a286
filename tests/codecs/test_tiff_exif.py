"""Directories of TIFF structures: read from every kind, added to every kind, and nothing else moved."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from upscaler.codecs import tiff_exif
from upscaler.codecs.tiff_exif import Value

from ..tiffs import long, short, smooth, structure, text, tiff
from . import blocks

KINDS = [("<", False), (">", False), ("<", True), (">", True)]


@pytest.mark.parametrize(("order", "big"), KINDS)
def test_what_is_read_does_not_depend_on_how_it_is_written(order: str, big: bool) -> None:
    plain = tiff_exif.read(io.BytesIO(structure(blocks.camera_tags(60, 40))))
    assert set(plain) == {0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x4746, 0x8298, 0x9C9B, 0x8769, 0x8825}
    assert tiff_exif.read(io.BytesIO(structure(blocks.camera_tags(60, 40), order, big))) == plain


def test_block_says_what_the_directory_says() -> None:
    directory = tiff_exif.read(io.BytesIO(blocks.exif(60, 40)))
    assert tiff_exif.read(io.BytesIO(tiff_exif.make_block(directory))) == directory


@pytest.mark.parametrize(("order", "big"), KINDS)
def test_added_tags_are_read_by_others(order: str, big: bool) -> None:
    stored = smooth(60, 40)
    file = io.BytesIO(tiff(stored, {305: text("old"), 0x0112: short(1)}, order, big))
    before = file.getvalue()
    added = tiff_exif.read(io.BytesIO(blocks.exif(60, 40)))
    tiff_exif.add(file, added)
    assert tiff_exif.read(file) == added
    after = file.getvalue()
    start = 16 if big else 8
    assert after[start : len(before)] == before[start:]  # nothing but the first place has changed
    image = pyvips.Image.new_from_buffer(after, "", fail_on="warning")
    np.testing.assert_array_equal(image.numpy(), stored)
    if (order, big) == (">", True):  # which Pillow does not open
        return
    exif = Image.open(io.BytesIO(after)).getexif()
    assert (exif[0x0110], exif[0x4746], exif[305]) == ("NIKON Z 8", 5, "Ver.01.00")
    assert exif.get_ifd(0x8769)[0x927C] == blocks.MAKER_NOTE
    assert exif.get_ifd(0x8769)[0xA434] == "NIKKOR Z 24-70mm f/2.8 S"
    assert exif.get_ifd(0x8825)[2] == (52, 31, 12.5)


@pytest.mark.parametrize(("order", "big"), KINDS)
def test_pages_after_the_first_stay_linked(order: str, big: bool) -> None:
    pages = tiff(smooth(6, 4), order=order, big=big, next_tags={256: long(1)})
    file = io.BytesIO(pages)
    tiff_exif.add(file, {305: Value(2, 4, b"new\0")})
    _, first = tiff_exif._begin(file)
    layout, _ = tiff_exif._begin(file)
    _, second = tiff_exif._entries(file, layout, first)
    entries, end = tiff_exif._entries(file, layout, second)
    assert (set(entries), end) == ({256}, 0)


def test_tags_are_all_of_the_first_directory() -> None:
    assert tiff_exif.read_tags(io.BytesIO(structure({1: short(1), 0x8825: {2: short(2)}}))) == {1, 0x8825}
    assert tiff_exif.read_tags(io.BytesIO(b"garbage")) == set()


@pytest.mark.parametrize(("order", "big"), KINDS)
def test_broken_structure_never_raises(order: str, big: bool) -> None:
    whole = structure(blocks.camera_tags(60, 40), order, big)
    for end in range(0, len(whole), 5):
        tiff_exif.read(io.BytesIO(whole[:end]))
    for at in range(len(whole) - 300):
        for value in (0, 255):
            tiff_exif.read(io.BytesIO(whole[:at] + bytes([value]) + whole[at + 1 :]))


def test_directory_that_leads_to_itself_ends() -> None:
    loop = bytearray(structure({0x8769: long(0), 0x0110: text("Z 8")}))
    at = loop.index(struct.pack("<H", 0x8769)) + 8
    loop[at : at + 4] = struct.pack("<I", 16)
    directory: Any = tiff_exif.read(io.BytesIO(bytes(loop)))
    assert directory[0x0110].data == b"Z 8\0"


def test_adding_to_what_is_no_tiff_is_refused() -> None:
    with pytest.raises(ValueError, match="not a TIFF structure"):
        tiff_exif.add(io.BytesIO(b"garbage" * 5), {})
