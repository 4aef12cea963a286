"""Texts of PNG files."""

from __future__ import annotations

import io
import zlib

import pytest

from upscaler.codecs import png_texts

from ..bad_files import png_chunk, png_with
from . import blocks


def read(*chunks: bytes) -> dict[str, str]:
    return png_texts.read(io.BytesIO(png_with(*chunks)))


@pytest.mark.parametrize(
    ("chunk", "texts"),
    [
        (png_chunk(b"tEXt", b"key\0text"), {"key": "text"}),
        (png_chunk(b"tEXt", b"key\0"), {"key": ""}),
        (png_chunk(b"zTXt", b"key\0\0" + zlib.compress(b"text")), {"key": "text"}),
        (png_chunk(b"iTXt", b"key\0\0\0\0\0" + "漢".encode()), {"key": "漢"}),
        (png_chunk(b"iTXt", b"key\0\1\0en\0Key\0" + zlib.compress("漢".encode())), {"key": "漢"}),
        (png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"), {}),
        (png_chunk(b"tEXt", b"\0no key"), {}),
        (png_chunk(b"zTXt", b"key\0\0not compressed"), {}),
        (png_chunk(b"iTXt", b"key\0\0"), {}),
        (png_chunk(b"iTXt", b"key\0\0\0\0\0\xff\xfe"), {}),
    ],
)
def test_text_of_every_kind_is_read_and_a_broken_one_left_out(chunk: bytes, texts: dict[str, str]) -> None:
    assert read(chunk) == texts


def test_bomb_is_cut_off() -> None:
    bomb = png_chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(10**8), 9))
    assert len(read(bomb)["key"]) == png_texts.LARGEST


def test_text_after_the_pixels_is_found() -> None:
    png = png_with()
    late = png[:-12] + png_chunk(b"tEXt", b"key\0text") + png[-12:]
    assert png_texts.read(io.BytesIO(late)) == {"key": "text"}


def test_file_cut_anywhere_never_raises() -> None:
    png = png_with(png_chunk(b"tEXt", b"key\0text"), png_chunk(b"iTXt", b"key\0\0\0\0\0" + "漢".encode()))
    for end in range(0, 150):
        png_texts.read(io.BytesIO(png[:end]))


@pytest.mark.parametrize("label", ["iptc", "IPTC profile"])
def test_raw_profile_is_taken_out_of_the_texts(label: str) -> None:
    records = blocks.photoshop(blocks.iptc())
    digits = "\n".join(records.hex()[at : at + 72] for at in range(0, 2 * len(records), 72))
    texts = {"Raw profile type iptc": f"\n{label}\n{len(records):8}\n{digits}\n", "key": "text"}
    assert png_texts.take_profile(texts, "iptc") == records
    assert texts == {"key": "text"}


@pytest.mark.parametrize("text", ["", "\niptc\n", "\niptc\n  5\nnot hexadecimal\n"])
def test_raw_profile_that_is_none_is_none(text: str) -> None:
    assert png_texts.take_profile({"Raw profile type iptc": text}, "iptc") is None
    assert png_texts.take_profile({}, "iptc") is None
