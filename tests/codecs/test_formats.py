"""The table of formats: content before names, one row for each, and a page that agrees with it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from upscaler.codecs import FORMATS, Format, by_name, by_suffix, decode, formats, sniff, writable
from upscaler.picture import Metadata, Picture

from .. import formats_table
from ..bad_files import READABLE, file_of


@pytest.mark.parametrize("suffix", [suffix for suffix in READABLE if suffix != "tga"])
def test_format_is_known_by_the_first_bytes(suffix: str) -> None:
    head = file_of(suffix)[:64]
    assert sniff(head) is by_suffix(f".{suffix}")
    others = {format.name for format in FORMATS if format.recognises(head)} - {by_suffix(f".{suffix}").name}  # type: ignore[union-attr]
    assert others <= {"HEIF"}  # of which AVIF is a kind


@pytest.mark.parametrize(
    "head", [b"", b"\0", b"P", b"P6", b"B", b"GIF", b"RIFF", b"RIFF\0\0\0\0WAVE", b"<svg", b"%PDF"]
)
def test_what_is_none_is_not_recognised(head: bytes) -> None:
    assert sniff(head) is None


@pytest.mark.parametrize(
    ("brands", "name"),
    [
        (b"avif\0\0\0\0mif1miaf", "AVIF"),
        (b"mif1\0\0\0\0avifmif1", "AVIF"),
        (b"avis\0\0\0\0avismsf1", "AVIF"),
        (b"heic\0\0\0\0mif1heic", "HEIF"),
        (b"heix\0\0\0\0mif1heix", "HEIF"),
        (b"mif1\0\0\0\0heicmiaf", "HEIF"),
        (b"isom\0\0\2\0isommp42", None),
        (b"mp42\0\0\0\0isommp42", None),
        (b"qt  \0\0\2\0qt  \0\0\0\0", None),
    ],
)
def test_brands_tell_pictures_from_films(brands: bytes, name: str | None) -> None:
    found = sniff(b"\0\0\0\x18ftyp" + brands + b"\0\0\1\0meta" + b"avif")
    assert (found and found.name) == name


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".Jpg", ".jfif"])
def test_suffix_is_known_in_any_case(suffix: str) -> None:
    assert by_suffix(suffix) is by_name("JPEG")


@pytest.mark.parametrize("name", ["jpg", "JPG", "jpeg", "JPEG", "Jpeg"])
def test_name_may_be_the_format_or_its_suffix(name: str) -> None:
    found = by_name(name)
    assert found is not None
    assert found.name == "JPEG"


@pytest.mark.parametrize("name", ["", ".", "jpgg", "svg", "mp4"])
def test_unknown_name_is_none(name: str) -> None:
    assert by_name(name) is None
    assert by_suffix(f".{name}") is None


def test_suffixes_and_names_are_taken_once() -> None:
    suffixes = [suffix for format in FORMATS for suffix in format.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in suffixes)
    assert len({format.name for format in FORMATS}) == len(FORMATS)


def test_every_written_format_is_read() -> None:
    """Else a result could not be enlarged again; and metadata are fields that exist."""
    fields = set(Metadata.__dataclass_fields__)
    for format in FORMATS:
        if format.writer is not None:
            assert format.suffixes[0][1:] in READABLE or format.advice, format.name  # else `test_jxl` tests it
            assert format.metadata <= fields, format.name


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_result_is_written_in_the_source_s_format_or_png(format: Format) -> None:
    other = "TIFF" if format.name == "RAW" else "PNG"
    assert writable(format).name == (format.name if format.writer or format.is_document else other)
    assert writable(None).name == "PNG"


def test_documentation_says_what_the_table_says() -> None:
    """`test_encode` checks the table itself, on files."""
    assert formats_table.FILE.read_text(encoding="utf-8") == formats_table.table(), "run python -m tests.formats_table"


def _starts_with(signature: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signature)


@pytest.mark.parametrize(
    "row",
    [
        Format("SGI", (".sgi",), _starts_with(b"\x01\xda"), writer="pillow", writes_alpha=True),
        Format(
            "GIF",
            (".gif",),
            _starts_with(b"GIF8"),
            "vips",
            "vips",
            options=lambda _, wanted, quality: {"dither": 0.0, "effort": wanted.compression or 7},
            writes_alpha=True,
            writes_grey=False,
        ),
    ],
    ids=["by Pillow", "by libvips"],
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_one_row_adds_a_format(row: Format, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [format for format in FORMATS if format.name != row.name]
    monkeypatch.setattr(formats, "FORMATS", (*others, row))
    pixels = np.zeros((40, 60, channels), np.uint8)
    pixels[:20, ..., :2], pixels[:, 30:, 0] = 255, 255
    if channels == 4:
        pixels[..., 3] = 255
    path = tmp_path / f"out{row.suffixes[0]}"
    Picture(pixels).save(path, compression=3)
    picture = decode(path.read_bytes())
    assert picture.format == row.name
    wanted = pixels if row.writes_grey or channels > 1 else np.repeat(pixels, 3, 2)
    assert np.array_equal(picture.pixels[..., :3], wanted[..., :3])
    assert (picture.pixels[..., 3:] == 255).all()


def test_a_format_is_the_same_row_in_another_process() -> None:
    assert all(pickle.loads(pickle.dumps(format)) is format for format in FORMATS)
