"""Comic books: pages by their names, everything else byte for byte, and archives that are not to be trusted."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscaler.codecs import EncodeOptions, by_suffix, decode, open_frames
from upscaler.codecs import book as module
from upscaler.errors import OutputError, PictureError
from upscaler.picture import Picture

from . import animated
from .test_animations import rejoin


def page(number: int, suffix: str, width: int = 48) -> bytes:
    file = io.BytesIO()
    names = {"jpg": "JPEG", "tif": "TIFF"}
    Image.fromarray(animated.frame(number, width=width)).save(file, names.get(suffix, suffix.upper()))
    return file.getvalue()


ENTRIES = {
    "ComicInfo.xml": b"<ComicInfo><Title>A block that moves</Title></ComicInfo>",
    "chapter 2/p10.jpg": page(0, "jpg"),
    "chapter 1/": b"",
    "chapter 1/p2.png": page(1, "png", 30),
    "chapter 1/P3.PNG": page(2, "png"),
    "__MACOSX/chapter 1/._p2.png": b"\0\5\x16\7",
    ".hidden.jpg": b"no picture",
    "p4.gif": page(3, "gif"),
    "p4.png": page(4, "png"),
}


def book(path: Path, entries: dict[str, bytes] = ENTRIES, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.comment = b"ComicBookLover/1.0"
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name, (1999, 12, 31, 23, 59, 58)), content, compression)
    return path


def test_pages_are_the_pictures_in_their_order(tmp_path: Path) -> None:
    with open_frames(book(tmp_path / "in.cbz"), all_frames=False) as pages:
        assert pages is not None
        assert (pages.count, pages.kind) == (5, "pages")
        assert [str(pages.read(number).size) for number in range(5)] == ["48x40", "30x40", "48x40", "48x40", "48x40"]
        assert np.array_equal(pages.read(2).pixels, animated.frame(2))
        assert pages.read(1).name.endswith("in.cbz: chapter 1/p2.png")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_names_order_and_other_entries_are_kept(compression: int, tmp_path: Path) -> None:
    rejoin(book(tmp_path / "in.cbz", compression=compression), tmp_path / "out.cbz", tmp_path / "kept")
    with zipfile.ZipFile(tmp_path / "out.cbz") as archive:
        assert archive.testzip() is None
        expected = [name if name != "p4.gif" else "p4.gif.png" for name in ENTRIES]
        assert archive.namelist() == expected
        assert archive.comment == b"ComicBookLover/1.0"
        assert {entry.compress_type for entry in archive.infolist()} == {compression}
        assert {entry.date_time for entry in archive.infolist()} == {(1999, 12, 31, 23, 59, 58)}
        for name, content in ENTRIES.items():
            if not name.lower().endswith((".jpg", ".png", ".gif")) or name.startswith((".", "__")):
                assert archive.read(name) == content
        assert np.array_equal(decode(archive.read("chapter 1/P3.PNG")).pixels, animated.frame(2))
        assert np.array_equal(decode(archive.read("p4.png")).pixels, animated.frame(4))
        assert decode(archive.read("chapter 2/p10.jpg")).format == "JPEG"


def test_the_same_book_gives_the_same_bytes(tmp_path: Path) -> None:
    source = book(tmp_path / "in.cbz")
    rejoin(source, tmp_path / "one.cbz", tmp_path / "kept")
    rejoin(source, tmp_path / "two.cbz", tmp_path / "kept")
    assert (tmp_path / "one.cbz").read_bytes() == (tmp_path / "two.cbz").read_bytes()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("../p1.png", r"the entry '\.\./p1\.png' leads out of the archive"),
        ("a/../../p1.png", r"leads out of the archive"),
        ("/p1.png", r"leads out of the archive"),
        ("C:/p1.png", r"leads out of the archive"),
        ("C:\\p1.png", r"leads out of the archive"),
        ("..\\p1.png", r"leads out of the archive"),
    ],
)
def test_a_name_that_leads_out_is_refused(name: str, sentence: str, tmp_path: Path) -> None:
    source = book(tmp_path / "in.cbz", {name: page(0, "png")})
    with pytest.raises(PictureError, match=sentence), open_frames(source):
        pass


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"Rar!\x1a\x07\x00" + bytes(100), "it is a RAR archive. Make a ZIP archive of its pages."),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "it is a 7z archive. Make a ZIP archive of its pages."),
        (b"hello", "it is damaged, or no ZIP archive. Make a ZIP archive of its pages."),
        (b"PK\3\4" + bytes(200), "it is damaged, or no ZIP archive. Make a ZIP archive of its pages."),
    ],
)
def test_what_is_no_archive_says_so(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "in.cbz").write_bytes(content)
    with pytest.raises(PictureError) as caught, open_frames(tmp_path / "in.cbz"):
        pass
    assert str(caught.value) == f"{tmp_path / 'in.cbz'}: {sentence}"


def refusal(source: Path) -> str:
    with pytest.raises(PictureError) as caught, open_frames(source):
        pass
    return str(caught.value).removeprefix(f"{source}: ")


def test_no_picture_in_it_is_a_sentence(tmp_path: Path) -> None:
    assert refusal(book(tmp_path / "in.cbz", {"ComicInfo.xml": b""})) == "there is no picture in it."
    assert refusal(book(tmp_path / "empty.cbz", {})) == "there is no picture in it."


def test_an_encrypted_entry_is_a_sentence(tmp_path: Path) -> None:
    source = book(tmp_path / "in.cbz", {"p1.png": page(0, "png")})
    content = bytearray(source.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    source.write_bytes(content)
    assert refusal(source).startswith("the entry 'p1.png' is encrypted. Unpack")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = book(tmp_path / "in.cbz", {"p1.png": page(0, "png"), "bomb.bmp": bytes(2**24)})
    monkeypatch.setattr(module, "SMALL", 2**20)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    assert "would become 16,777," in refusal(source)
    assert "as in a ZIP bomb" in refusal(source)


def test_an_entry_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 100)
    assert refusal(book(tmp_path / "in.cbz")).startswith("the entry 'chapter 2/p10.jpg' takes ")


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.cbz", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("p1.png", page(0, "png"))
        archive.writestr("p1.png", page(1, "png"))
    assert refusal(tmp_path / "in.cbz") == "2 of its entries are called 'p1.png'. Rename them."


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    entries = {"p1.png": page(0, "png"), "p2.png": page(1, "png")[:-60], "p3.png": b"", "p4.png": b"hello"}
    source = book(tmp_path / "in.cbz", entries, zipfile.ZIP_STORED)
    content = source.read_bytes()
    with open_frames(source) as pages:
        assert pages is not None
        for number, words in (
            (1, "the file is damaged"),
            (2, "the file is empty"),
            (3, "not a picture in any known format"),
        ):
            with pytest.raises(PictureError, match=rf"in\.cbz: p{number + 1}\.png: .*{words}"):
                pages.read(number)
    at = content.index(entries["p1.png"]) + 60
    source.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with open_frames(source) as pages:
        assert pages is not None
        with pytest.raises(PictureError, match=r"in\.cbz: p1\.png: the page cannot be unpacked \(Bad CRC-32"):
            pages.read(0)


def test_the_limit_of_pixels_holds_for_pages(tmp_path: Path) -> None:
    with open_frames(book(tmp_path / "in.cbz"), max_pixels=1300) as pages:
        assert pages is not None
        assert str(pages.read(1).size) == "30x40"
        with pytest.raises(PictureError, match=r"p10\.jpg: 48x40 is .* over the limit"):
            pages.read(0)


def test_a_book_is_no_single_picture(tmp_path: Path) -> None:
    source = book(tmp_path / "in.cbz")
    with pytest.raises(PictureError, match="it holds pages, and is no single picture"):
        decode(source)
    with pytest.raises(OutputError, match="is one picture, and CBZ is only written of several"):
        Picture(animated.frame(0)).save(tmp_path / "out.cbz")
    assert not (tmp_path / "out.cbz").exists()


def test_options_hold_for_pages(tmp_path: Path) -> None:
    source = book(tmp_path / "in.cbz", {"p1.jpg": page(0, "jpg")})
    sizes = []
    for quality in (30, 95):
        rejoin(source, tmp_path / "out.cbz", tmp_path / "kept", quality=quality)  # type: ignore[arg-type]
        sizes.append((tmp_path / "out.cbz").stat().st_size)
    assert sizes[0] < sizes[1] - 300
    cbz = by_suffix(".cbz")
    assert cbz is not None
    assert EncodeOptions(all_frames=True).format_for(Path("a.cbz")) is cbz
