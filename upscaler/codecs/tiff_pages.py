"""The pages of a TIFF file: read one by one, and joined to a file in which each is as it was written alone."""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ..errors import OutputError, PictureError
from ..picture import Picture
from . import tiff_exif
from .decode import decode
from .encode import EncodeOptions
from .formats import Format
from .frames import Frames, ReadOptions

COMPRESSION: Final = 0x0103

KINDS: Final = {1: "none", 5: "lzw", 7: "jpeg", 32773: "packbits", 50000: "zstd"}
"""How pages are compressed again, by the numbers of TIFF; all others are kinds of deflate, or for one bit a pixel."""

JPEG_QUALITY: Final = 95


class Pages(Frames):
    """The pages of a TIFF file, of which a copy is changed so that each in turn is the only one."""

    kind = "pages"

    def __init__(self, copy: Path, places: Sequence[int], format: Format, options: ReadOptions) -> None:
        self.format, self.count = format, len(places)
        self._copy, self._places, self._options = copy, places, options

    def read(self, number: int) -> Picture:
        options = self._options
        self._turn_to(number)
        return decode(
            self._copy,
            accept_damaged=options.accept_damaged,
            max_pixels=options.max_pixels,
            workspace=options.workspace,
            name=f"{options.name}, page {number + 1}",
        )

    def alternatives(self) -> str:
        return ".tif"

    def keep_as(self, number: int, format: Format, options: EncodeOptions) -> tuple[str, EncodeOptions]:
        self._turn_to(number)
        with self._copy.open("rb") as file:
            stated = tiff_exif.read_chosen(file, frozenset({COMPRESSION})).get(COMPRESSION)
        number = int.from_bytes(stated.data, "little") if isinstance(stated, tiff_exif.Value) else 1
        kind = KINDS.get(number, "deflate")
        if options.compression is not None or (kind == "jpeg" and options.lossless):
            return ".tif", replace(options, format=format, overwrite=True)
        return ".tif", replace(options, format=_compress(format, kind), overwrite=True)

    def join(self, files: Sequence[Path], output: Path, format: Format, options: EncodeOptions) -> None:
        try:
            with output.open("wb+") as file:
                tiff_exif.join(files, file)
        except (ValueError, struct.error) as error:
            raise OutputError(f"the pages cannot be joined ({error}).") from error

    def _turn_to(self, number: int) -> None:
        with self._copy.open("r+b") as file:
            tiff_exif.begin_with(file, self._places[number])


@contextmanager
def open_pages(file: Path, format: Format, options: ReadOptions) -> Iterator[Pages | None]:
    """Yields the pages of a TIFF file; None if it has one, or none that can be found. Raises PictureError when there is
    no room for a copy of it."""
    with file.open("rb") as opened:
        places = [place for _, place in tiff_exif.find_page_places(opened)]
    if len(places) < 2:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix=".upscaler-", dir=options.workspace) as folder:
        copy = Path(folder, "pages.tif")
        try:
            shutil.copyfile(file, copy)
        except OSError as error:
            raise PictureError(f"{options.name}: it cannot be copied to be read ({error.strerror}).") from error
        yield Pages(copy, places, format, options)


def _compress(format: Format, kind: str) -> Format:
    """Returns the row of TIFF with another way of compression. JPEG is for 8 bits without transparency."""

    def options(picture: Picture, wanted: EncodeOptions, quality: int) -> dict[str, Any]:
        usual = format.options(picture, wanted, quality)
        if kind == "deflate" or (kind == "jpeg" and (picture.depth == 16 or picture.has_alpha)):
            return usual
        predictor = {} if kind in ("lzw", "zstd") else {"predictor": "none"}
        return {**usual, "compression": kind, **predictor, **({"Q": quality or JPEG_QUALITY} if kind == "jpeg" else {})}

    return replace(format, options=options)
