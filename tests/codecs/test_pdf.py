"""PDF files: pages as pixels, in the resolution of what is on them, and written in their own size."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscaler.codecs import decode, open_frames
from upscaler.errors import PictureError

from . import animated
from .checks import off
from .test_animations import rejoin

pytest.importorskip("pypdfium2")


def pdf(path: Path, *pages: tuple[tuple[int, int], str, bytes], trailer: str = "") -> Path:
    """Writes pages of a size in points, with the content drawn on each and a picture called P: a raw RGB one of 48x40
    pixels, compressed."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{5 + 3 * index} 0 R" for index in range(len(pages)))
    objects += [f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode()]
    objects += [
        b"<< /Title (Two blocks) /Author (Nobody) >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for index, ((width, height), content, pixels) in enumerate(pages):
        at = 5 + 3 * index
        resources = f"<< /XObject << /P {at + 2} 0 R >> /Font << /F 4 0 R >> >>"
        head = f"/Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Resources {resources}"
        objects.append(f"<< {head} /Contents {at + 1} 0 R >>".encode())
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream".encode())
        data = zlib.compress(pixels)
        what = "/Type /XObject /Subtype /Image /Width 48 /Height 40 /ColorSpace /DeviceRGB /BitsPerComponent 8"
        stream = f"<< {what} /Filter /FlateDecode /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream"
        objects.append(stream)
    file, places = bytearray(b"%PDF-1.4\n"), []
    for number, content_of in enumerate(objects, 1):
        places.append(len(file))
        file += f"{number} 0 obj\n".encode() + content_of + b"\nendobj\n"
    start = len(file)
    file += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    file += b"".join(b"%010d 00000 n \n" % place for place in places)
    file += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 3 0 R {trailer} >>\n".encode()
    path.write_bytes(bytes(file) + f"startxref\n{start}\n%%EOF\n".encode())
    return path


def scan(number: int, more: str = "", size: tuple[int, int] = (24, 20)) -> tuple[tuple[int, int], str, bytes]:
    """A page that is filled by a frame, and what else is drawn on it."""
    return size, f"q {size[0]} 0 0 {size[1]} 0 0 cm /P Do Q {more}", animated.frame(number).tobytes()


TEXT = "BT /F 8 Tf {} Tr 2 5 Td (abc) Tj ET"


def test_a_page_that_is_one_picture_is_that_picture(tmp_path: Path) -> None:
    with open_frames(pdf(tmp_path / "in.pdf", scan(0), scan(1)), all_frames=False) as pages:
        assert pages is not None
        assert (pages.count, pages.kind) == (2, "pages")
        for number in range(2):
            found = pages.read(number)
            assert np.array_equal(found.pixels, animated.frame(number))
            assert found.metadata.dpi == (144, 144)


@pytest.mark.parametrize(
    ("more", "size"),
    [
        ("", (48, 40)),
        (TEXT.format(3), (48, 40)),  # invisible, for searching
        (TEXT.format(0), (50, 42)),  # 150 dots an inch
        ("1 0 0 RG 2 2 m 20 10 l S", (50, 42)),
    ],
    ids=["alone", "with invisible text", "with text", "with a line"],
)
def test_what_else_is_seen_on_a_picture_decides_how_finely_it_is_drawn(
    more: str, size: tuple[int, int], tmp_path: Path
) -> None:
    with open_frames(pdf(tmp_path / "in.pdf", scan(0, more))) as pages:
        assert pages is not None
        assert (pages.read(0).size.width, pages.read(0).size.height) == size


@pytest.mark.parametrize(("side", "dpi"), [(100, 150), (16, 216), (4, 300)])
def test_a_drawn_page_has_150_to_300_dots_an_inch(side: int, dpi: int, tmp_path: Path) -> None:
    content = f"q {side} 0 0 {side * 40 // 48} 10 10 cm /P Do Q"
    with open_frames(pdf(tmp_path / "in.pdf", ((200, 200), content, animated.frame(0).tobytes()))) as pages:
        assert pages is not None
        assert pages.read(0).size.width == pytest.approx(200 * dpi / 72, rel=0.02)


@pytest.mark.parametrize("lossless", [False, True], ids=["JPEG", "lossless"])
def test_pages_keep_their_size_and_title(lossless: bool, tmp_path: Path) -> None:
    import pypdfium2

    source = pdf(tmp_path / "in.pdf", scan(0), scan(1, size=(36, 30)))
    rejoin(source, tmp_path / "out.pdf", tmp_path / "kept", lossless=lossless)
    document = pypdfium2.PdfDocument(tmp_path / "out.pdf")
    assert [document.get_page_size(number) for number in range(2)] == [(24, 20), (36, 30)]
    assert document.get_metadata_dict()["Title"] == "Two blocks"
    assert document.get_metadata_dict()["Author"] == "Nobody"
    document.close()
    with open_frames(tmp_path / "out.pdf") as pages:
        assert pages is not None
        for number in range(2):
            assert off(pages.read(number).pixels, animated.frame(number)) <= (0 if lossless else 6)


def test_grey_pages_stay_grey(tmp_path: Path) -> None:
    grey = np.repeat(animated.frame(0)[:, :, :1], 3, axis=2)
    source = pdf(tmp_path / "in.pdf", ((24, 20), "q 24 0 0 20 0 0 cm /P Do Q", grey.tobytes()))
    rejoin(source, tmp_path / "out.pdf", tmp_path / "kept")
    assert b"/DeviceGray" in (tmp_path / "out.pdf").read_bytes()
    with Image.open(tmp_path / "kept/0.jpg") as image:
        assert image.mode == "L"


def test_text_that_is_lost_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_frames(pdf(tmp_path / "in.pdf", scan(0, TEXT.format(3)), scan(1, TEXT.format(3)))) as pages:
        assert pages is not None
        assert [pages.read(number).pixels.shape[2] for number in range(2)] == [3, 3]
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "text is kept as pixels only; it cannot be searched in the result."
    ]


def refusal(source: Path) -> str:
    with pytest.raises(PictureError) as caught, open_frames(source):
        pass
    return str(caught.value).removeprefix(f"{source}: ")


@pytest.mark.parametrize("content", [b"%PDF-1.4\n", b"%PDF-1.4\nnonsense" * 20])
def test_a_damaged_file_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "in.pdf").write_bytes(content)
    assert refusal(tmp_path / "in.pdf") == "it is damaged, or no PDF."


def test_an_encrypted_file_is_a_sentence(tmp_path: Path) -> None:
    locked = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{'41' * 32}> /U <{'42' * 32}> /P -4 >> /ID [<00> <00>]"
    source = pdf(tmp_path / "in.pdf", scan(0), trailer=locked)
    assert refusal(source) == "it is encrypted. Save it without a password first."


def test_a_file_without_pages_is_a_sentence(tmp_path: Path) -> None:
    assert refusal(pdf(tmp_path / "in.pdf")) == "it is damaged, or no PDF."


def test_the_limit_of_pixels_holds_for_pages(tmp_path: Path) -> None:
    with open_frames(pdf(tmp_path / "in.pdf", scan(0), scan(1)), max_pixels=1000) as pages:
        assert pages is not None
        with pytest.raises(PictureError, match=r"in\.pdf, page 2: 48x40 is .* over the limit"):
            pages.read(1)


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    assert refusal(pdf(tmp_path / "in.pdf", scan(0))) == "PDF files need pypdfium2. Install 'upscaler[pdf]'."


def test_a_pdf_is_no_single_picture(tmp_path: Path) -> None:
    source = pdf(tmp_path / "in.pdf", scan(0))
    with pytest.raises(PictureError, match="it holds pages, and is no single picture"):
        decode(source)
