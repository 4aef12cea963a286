"""Comic books (CBZ): pictures in a ZIP archive, which become larger ones under the same names, in the same order.

All other entries are kept byte for byte. What an archive says of itself is checked before anything is unpacked, and
nothing is unpacked into files of its names.
"""

from __future__ import annotations

import re
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..errors import OutputError, PictureError, first_line
from ..picture import Picture
from .decode import decode
from .encode import EncodeOptions
from .formats import Format, by_suffix, writable
from .frames import Frames, ReadOptions

MOST_ENTRIES: Final = 2**16

LARGEST: Final = 2**30
"""Bytes of an entry when it is unpacked."""

DENSEST: Final = 200
"""Times that an archive may grow when it is unpacked, beyond SMALL; pictures are compressed already."""

SMALL: Final = 2**26

OTHERS: Final = {b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive", b"%PDF": "a PDF file"}
"""What begins like this is called .cbz at times."""

ENCRYPTED: Final = 1

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What zipfile raises for entries that it cannot unpack."""


class Book(Frames):
    """The pages of a CBZ file: its entries that are pictures."""

    kind = "pages"

    def __init__(
        self, archive: zipfile.ZipFile, pages: Sequence[zipfile.ZipInfo], format: Format, options: ReadOptions
    ) -> None:
        self.format, self.count = format, len(pages)
        self._archive, self._pages, self._options = archive, pages, options

    def read(self, number: int) -> Picture:
        options, page = self._options, self._pages[number]
        name = f"{options.name}: {page.filename}"
        try:
            content = self._archive.read(page)
        except (*BROKEN, OSError) as error:
            raise PictureError(f"{name}: the page cannot be unpacked ({first_line(error)}).") from error
        if not content:
            raise PictureError(f"{name}: the file is empty.")
        return decode(
            content,
            accept_damaged=options.accept_damaged,
            max_pixels=options.max_pixels,
            workspace=options.workspace,
            name=name,
        )

    def alternatives(self) -> str:
        return ".cbz"

    def keep_as(self, number: int, format: Format, options: EncodeOptions) -> tuple[str, EncodeOptions]:
        suffix = Path(self._pages[number].filename).suffix
        own = writable(by_suffix(suffix))
        wanted = replace(options, format=own, all_frames=False, overwrite=True)
        return suffix if suffix.lower() in own.suffixes else own.suffixes[0], wanted

    def join(self, files: Sequence[Path], output: Path, format: Format, options: EncodeOptions) -> None:
        names = self._names(files)
        kept = {page.filename: file for page, file in zip(self._pages, files, strict=True)}
        with zipfile.ZipFile(output, "w") as archive:
            archive.comment = self._archive.comment
            for old in self._archive.infolist():
                new = zipfile.ZipInfo(names.get(old.filename, old.filename), old.date_time)
                new.external_attr, new.comment = old.external_attr, old.comment
                new.create_system = old.create_system
                new.compress_type = zipfile.ZIP_STORED if old.compress_type == 0 else zipfile.ZIP_DEFLATED
                file = kept.get(old.filename)
                new.file_size = old.file_size if file is None else file.stat().st_size
                try:
                    opened = self._archive.open(old) if file is None else file.open("rb")
                    with opened as source, archive.open(new, "w") as target:
                        shutil.copyfileobj(source, target, 2**20)
                except BROKEN as error:
                    raise OutputError(f"the entry {old.filename!r} cannot be kept ({first_line(error)}).") from error

    def _names(self, files: Sequence[Path]) -> dict[str, str]:
        """Returns the new names of pages that are written in another format than they were."""
        taken = {entry.filename for entry in self._archive.infolist()}
        names = {}
        for page, file in zip(self._pages, files, strict=True):
            old = page.filename
            if Path(old).suffix != file.suffix:
                new = str(Path(old).with_suffix(file.suffix).as_posix())
                names[old] = old + file.suffix if new in taken else new
                taken.add(names[old])
        return names


@contextmanager
def open_book(file: Path, format: Format, options: ReadOptions) -> Iterator[Book]:
    """Yields the pages of a CBZ file. Raises PictureError for one that cannot be read, or that is not to be trusted."""
    name = options.name
    try:
        with file.open("rb") as opened:
            head = opened.read(4)
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        what = OTHERS.get(head, "damaged, or no ZIP archive")
        raise PictureError(f"{name}: it is {what}. Make a ZIP archive of its pages.") from error
    except (*BROKEN, OSError) as error:
        raise PictureError(f"{name}: it cannot be read ({first_line(error)}).") from error
    with archive:
        entries = archive.infolist()
        if problem := _find_problem(entries, file.stat().st_size):
            raise PictureError(f"{name}: {problem}")
        pages = [entry for entry in entries if _is_page(entry)]
        if not pages:
            raise PictureError(f"{name}: there is no picture in it.")
        yield Book(archive, pages, format, options)


def _find_problem(entries: Sequence[zipfile.ZipInfo], size: int) -> str | None:
    """Returns why an archive of so many bytes is not unpacked; None if it may be."""
    if len(entries) > MOST_ENTRIES:
        return f"it has {len(entries):,} entries, more than {MOST_ENTRIES:,}."
    name, count = Counter(entry.filename for entry in entries).most_common(1)[0] if entries else ("", 0)
    if count > 1:
        return f"{count} of its entries are called {name!r}. Rename them."
    for entry in entries:
        parts = re.split(r"[/\\]", entry.filename)
        if ".." in parts or not parts[0] or parts[0].endswith(":") or parts[0][1:2] == ":":
            return f"the entry {entry.filename!r} leads out of the archive. Rename it, if you trust the file."
        if entry.flag_bits & ENCRYPTED:
            return f"the entry {entry.filename!r} is encrypted. Unpack the archive, and pack it without a password."
        if entry.file_size > LARGEST:
            return f"the entry {entry.filename!r} takes {entry.file_size:,} bytes, more than {LARGEST:,}."
    total = sum(entry.file_size for entry in entries)
    if total > DENSEST * size + SMALL:
        return f"its {size:,} bytes would become {total:,}, more than {DENSEST} times as many, as in a ZIP bomb."
    return None


def _is_page(entry: zipfile.ZipInfo) -> bool:
    """Returns whether an entry is a picture by its name; what macOS adds beside each file is none."""
    path = Path(entry.filename)
    format = by_suffix(path.suffix)
    is_hidden = any(part.startswith(".") for part in path.parts) or path.parts[:1] == ("__MACOSX",)
    return not entry.is_dir() and not is_hidden and format is not None and not format.is_document
