"""Files of several pictures: the frames of an animation, or the pages of a document, one at a time.

`open_frames` reads them. `Frames.keep_as` says how each is kept in a file of its own until all are there, and
`Frames.join` makes one file of these; never more than two frames are in memory. What the kinds of files differ in is in
`animations`, `tiff_pages`, `book` and `pdf`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OutputError, PictureError, PlanError
from ..picture import Picture
from ..tiling import Size
from .formats import Format

if TYPE_CHECKING:
    from .encode import EncodeOptions


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How frames are read; see `decode`."""

    name: str
    accept_damaged: bool
    max_pixels: int
    workspace: Path | None

    def check(self, size: Size) -> None:
        """Raises PictureError for a picture with more pixels than are allowed."""
        if size.pixels > self.max_pixels:
            raise PictureError(
                f"{self.name}: {size} is {-(-size.pixels // 10**6):,} megapixels, over the limit of "
                f"{self.max_pixels / 1e6:,.0f}. If you trust the picture, raise `max_pixels`."
            )


class Frames(ABC):
    """The frames or pages of an open file, numbered from 0."""

    format: Format
    count: int
    kind: str
    """What a user calls several of them: "frames" or "pages"."""

    @abstractmethod
    def read(self, number: int) -> Picture:
        """Reads one, upright, as a viewer shows it. Raises PictureError."""

    def describe(self) -> str:
        """Returns in a few words what is known of them beside their number, such as how long they are shown."""
        return ""

    def check(self, format: Format, options: EncodeOptions, output: Path) -> None:
        """Raises OutputError if a file of that format cannot hold them, or not with these options."""
        if not self.fits(format):
            rest = "" if self.format.is_document else ", or leave out `all_frames`"
            raise OutputError(
                f"{output}: {format.name} cannot hold the {self.count} {self.kind} of this {self.format.name} file. "
                f"Choose {self.alternatives()}{rest}."
            )

    def fits(self, format: Format) -> bool:
        """Returns whether files of that format can hold them: animations those of animations, pages only their own."""
        return format is self.format or self.format.frames == format.frames == "animation"

    @abstractmethod
    def alternatives(self) -> str:
        """Returns the suffixes of the formats that can hold them, for a message."""

    @abstractmethod
    def keep_as(self, number: int, format: Format, options: EncodeOptions) -> tuple[str, EncodeOptions]:
        """Returns the suffix and the options with which a finished one is kept for a file of that format."""

    @abstractmethod
    def join(self, files: Sequence[Path], output: Path, format: Format, options: EncodeOptions) -> None:
        """Writes a file of that format at exactly `output` from the kept files of all. Raises OutputError, OSError."""


@contextmanager
def open_frames(
    file: Path,
    *,
    all_frames: bool = True,
    accept_damaged: bool = False,
    max_pixels: int = 0,
    untrusted: bool = False,
    workspace: Path | None = None,
    name: str | None = None,
) -> Iterator[Frames | None]:
    """Yields the frames or pages of a file; None where it is a single picture, or none that can be read, of which
    `decode` tells more, and without `all_frames` unless it is a document. Other arguments are those of `decode`. Raises
    PictureError for a document that cannot be read, and PlanError when all frames of strangers are asked for."""
    from . import animations, book, pdf, tiff_pages
    from .decode import HEAD, LARGEST, find_format

    options = ReadOptions(name or str(file), accept_damaged, max_pixels or LARGEST, workspace)
    try:
        head = b""
        if file.is_file():  # opening a pipe would wait for what comes
            with file.open("rb") as opened:
                head = opened.read(HEAD)
        format = find_format(file, head, Path(options.name).suffix) if head else None
    except (OSError, ValueError):
        format = None
    if untrusted and all_frames:
        raise PlanError("pictures of strangers are read one by one, not frame by frame. Leave out `untrusted`.")
    if format is None or format.frames is None or not (all_frames or format.is_document):
        yield None
        return
    if untrusted:
        raise PictureError(f"{options.name}: {format.name} is not read from strangers. Leave out `untrusted`.")
    openers: dict[str, Callable[[Path, Format, ReadOptions], AbstractContextManager[Frames | None]]]
    openers = {"TIFF": tiff_pages.open_pages, "CBZ": book.open_book, "PDF": pdf.open_pages}
    with openers.get(format.name, animations.open_animation)(file, format, options) as frames:
        yield frames
