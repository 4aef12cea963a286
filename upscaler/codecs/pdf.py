"""PDF files of pages: each drawn as pixels by PDFium, and written as a page that is one picture.

PDFium is no library for several threads, so one of them uses it at a time.
"""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from PIL import Image

from ..arrays import PixelArray
from ..errors import PictureError, first_line
from ..notices import warn
from ..picture import Metadata, Picture
from ..tiling import Size
from .encode import EncodeOptions
from .formats import Format, by_name
from .frames import Frames, ReadOptions
from .png_texts import split

LEAST: Final = 150
MOST: Final = 300
"""Pixels an inch in which pages are drawn that are not one picture."""

FULL: Final = 0.95
"""The share of a page from which on a picture fills it."""

POINTS: Final = 72
INVISIBLE: Final = 3
"""The render mode of text that only is there to be searched, as programs for scans put behind the picture."""

KEPT: Final = ("Title", "Author", "Subject", "Keywords")

_library = threading.RLock()


class Pages(Frames):
    """The pages of a PDF file."""

    kind = "pages"

    def __init__(self, document: Any, format: Format, options: ReadOptions) -> None:
        self.format, self.count = format, len(document)
        self._document, self._options = document, options
        self._said_text = False

    def read(self, number: int) -> Picture:
        options = replace(self._options, name=f"{self._options.name}, page {number + 1}")
        with _using(options.name):
            page = self._document[number]
            try:
                dpi, has_text = _look_at(page)
                width, height = (max(round(side * dpi / POINTS), 1) for side in page.get_size())
                options.check(Size(width, height))
                scale = (width - 1e-3) / page.get_size()[0]  # it is rounded up to whole pixels
                bitmap = page.render(scale=scale, rev_byteorder=True)
                pixels = np.array(bitmap.to_numpy())[:, :, :3]
                bitmap.close()
            finally:
                page.close()
        if has_text and not self._said_text:
            self._said_text = True
            warn("%s: text is kept as pixels only; it cannot be searched in the result.", self._options.name)
        pixels = _grey_or_colour(pixels)
        size = Size(pixels.shape[1], pixels.shape[0])
        metadata = Metadata(dpi=(round(dpi, 2), round(dpi, 2)), size=size)
        return Picture(pixels, metadata=metadata, format=self.format.name, name=options.name)

    def alternatives(self) -> str:
        return ".pdf"

    def keep_as(self, number: int, format: Format, options: EncodeOptions) -> tuple[str, EncodeOptions]:
        suffix, name = (".png", "PNG") if options.lossless else (".jpg", "JPEG")
        own = replace(options, format=by_name(name), lossless=False, all_frames=False, strip=True, overwrite=True)
        return suffix, own

    def join(self, files: Sequence[Path], output: Path, format: Format, options: EncodeOptions) -> None:
        with _using(self._options.name):
            sizes = [self._document.get_page_size(number) for number in range(self.count)]
            told = self._document.get_metadata_dict()
        facts = {} if options.strip else {key: told[key] for key in KEPT if told.get(key)}
        with output.open("wb") as file:
            _write(file, files, sizes, facts)


@contextmanager
def open_pages(file: Path, format: Format, options: ReadOptions) -> Iterator[Pages]:
    """Yields the pages of a PDF file. Raises PictureError for one that cannot be read."""
    if not format.is_ready():
        raise PictureError(f"{options.name}: {format.advice}")
    import pypdfium2

    with _library:
        try:
            document = pypdfium2.PdfDocument(file)
        except pypdfium2.PdfiumError as error:  # its reason may be that of an earlier file
            is_encrypted = b"/Encrypt" in file.read_bytes()
            what = "it is encrypted. Save it without a password first." if is_encrypted else "it is damaged, or no PDF."
            raise PictureError(f"{options.name}: {what}") from error
    try:
        if not len(document):
            raise PictureError(f"{options.name}: there is no page in it.")
        yield Pages(document, format, options)
    finally:
        with _library:
            document.close()


@contextmanager
def _using(name: str) -> Iterator[None]:
    """Lets one thread use the library inside the context, and turns its errors into PictureErrors."""
    import pypdfium2

    with _library:
        try:
            yield
        except pypdfium2.PdfiumError as error:
            raise PictureError(f"{name}: it is damaged ({first_line(error)}).") from error


def _look_at(page: Any) -> tuple[float, bool]:
    """Returns in how many pixels an inch a page is drawn, and whether there is text on it, seen or not.

    A page that is filled by one picture, and has nothing else that is seen, is drawn in that picture's own resolution.
    If there is something else on that picture, in LEAST at least; any other page in that of its finest picture, LEAST
    to MOST.
    """
    from pypdfium2 import raw

    width, height = page.get_mediabox()[2] - page.get_mediabox()[0], page.get_mediabox()[3] - page.get_mediabox()[1]
    finest, filling, others, has_text = 0.0, 0.0, 0, False
    for item in page.get_objects():
        if item.type == raw.FPDF_PAGEOBJ_TEXT:
            has_text = True
            others += raw.FPDFTextObj_GetTextRenderMode(item.raw) != INVISIBLE
        if item.type == raw.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = item.get_bounds()
            across, down = item.get_px_size()
            area = max((right - left) * (top - bottom), 1e-6)
            dpi = POINTS * math.sqrt(across * down / area)
            finest = max(finest, dpi)
            covers = (min(right, width) - max(left, 0)) * (min(top, height) - max(bottom, 0)) >= FULL * width * height
            filling = max(filling, dpi if covers else 0.0)
            others += not covers
        elif item.type not in (raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_FORM):
            others += 1
    if filling:
        return (max(filling, LEAST) if others else filling), has_text
    return min(max(finest, LEAST), MOST), has_text


def _grey_or_colour(pixels: PixelArray) -> PixelArray:
    is_grey = np.array_equal(pixels[:, :, 0], pixels[:, :, 1]) and np.array_equal(pixels[:, :, 0], pixels[:, :, 2])
    return pixels[:, :, :1].copy() if is_grey else pixels


def _write(
    file: BinaryIO, pictures: Sequence[Path], sizes: Sequence[tuple[float, float]], facts: dict[str, str]
) -> None:
    """Writes a PDF file (PDF 1.7, ISO 32000-1) with a page of the size, in points, for each JPEG or PNG file."""
    places: list[int] = []

    def begin(number: int, head: str) -> None:
        places.extend([0] * (number + 1 - len(places)))
        places[number] = file.tell()
        file.write(f"{number} 0 obj\n{head}\n".encode())

    def put(number: int, content: str) -> None:
        begin(number, content)
        file.write(b"endobj\n")

    file.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    for index, (picture, (width, height)) in enumerate(zip(pictures, sizes, strict=True)):
        number, box = 4 + 3 * index, f"{_plain(width)} {_plain(height)}"
        used = f"/Resources << /XObject << /P {number + 2} 0 R >> >> /Contents {number + 1} 0 R"
        put(number, f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {box}] {used} >>")
        drawing = f"q {_plain(width)} 0 0 {_plain(height)} 0 0 cm /P Do Q"
        put(number + 1, f"<< /Length {len(drawing)} >>\nstream\n{drawing}\nendstream")
        facts_of_picture, pixels = _describe(picture)
        begin(number + 2, f"<< /Type /XObject /Subtype /Image {facts_of_picture} >>\nstream")
        if pixels is None:
            with picture.open("rb") as opened:
                shutil.copyfileobj(opened, file, 2**20)
        else:
            file.write(pixels)
        file.write(b"\nendstream\nendobj\n")
    pages = " ".join(f"{4 + 3 * index} 0 R" for index in range(len(pictures)))
    put(1, "<< /Type /Catalog /Pages 2 0 R >>")
    put(2, f"<< /Type /Pages /Count {len(pictures)} /Kids [{pages}] >>")
    told = " ".join(f"/{key} <FEFF{text.encode('utf-16-be', 'replace').hex()}>" for key, text in facts.items())
    put(3, f"<< {told} >>")
    start = file.tell()
    file.write(f"xref\n0 {len(places)}\n0000000000 65535 f \n".encode())
    file.write(b"".join(b"%010d 00000 n \n" % place for place in places[1:]))
    file.write(f"trailer\n<< /Size {len(places)} /Root 1 0 R /Info 3 0 R >>\nstartxref\n{start}\n%%EOF\n".encode())


def _describe(picture: Path) -> tuple[str, bytes | None]:
    """Returns the entries that describe a JPEG or PNG file as a picture of PDF, and the compressed pixels of a PNG;
    None where the file itself is what PDF holds."""
    with Image.open(picture) as image:
        (width, height), colours, is_png = image.size, len(image.getbands()), image.format == "PNG"
    space = "/DeviceGray" if colours == 1 else "/DeviceRGB"
    pixels = b"".join(split(picture.read_bytes())[1]) if is_png else None
    rows = f"/DecodeParms << /Predictor 15 /Colors {colours} /Columns {width} >>"
    how = f"/FlateDecode {rows}" if is_png else "/DCTDecode"
    length = picture.stat().st_size if pixels is None else len(pixels)
    what = f"/Width {width} /Height {height} /ColorSpace {space} /BitsPerComponent 8"
    return f"{what} /Filter {how} /Length {length}", pixels


def _plain(number: float) -> str:
    """Returns a number as PDF has them: never with an exponent."""
    return f"{number:.4f}".rstrip("0").rstrip(".")
