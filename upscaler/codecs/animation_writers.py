"""The containers of animations: APNG, WebP and GIF files made of the files of single pictures.

Frames are not compressed here, only their blocks are put together, one frame at a time.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, Final

from ..tiling import Size
from . import png_texts

FOR_EVER: Final = 0
ONCE: Final = 1
"""How often an animation is shown; other numbers count."""


@dataclass(frozen=True, slots=True)
class Part:
    """A frame as the file of a single picture: the whole, or a rectangle of it."""

    content: bytes
    left: int
    top: int
    size: Size
    canvas: Size
    has_alpha: bool
    """Whether any frame of the animation is transparent somewhere."""


class Writer(ABC):
    """Writes the container of an animation."""

    @abstractmethod
    def __init__(self, file: BinaryIO, first: Part, frames: int, plays: int) -> None: ...

    @abstractmethod
    def add(self, part: Part, duration: float) -> None:
        """Writes a frame that replaces what is in its rectangle, and is shown for that many milliseconds."""

    @abstractmethod
    def end(self) -> None:
        """Writes what stands behind the last frame."""


class _PngWriter(Writer):
    """Writes the chunks of an APNG file (PNG, third edition, 11.3.6)."""

    def __init__(self, file: BinaryIO, first: Part, frames: int, plays: int) -> None:
        self._file, self._is_first, self._number = file, True, 0
        head, _ = png_texts.split(first.content)
        end = png_texts.SIGNATURE + 25
        control = png_texts.make_chunk(b"acTL", struct.pack(">II", frames, plays))
        file.write(head[:end] + control + head[end:])

    def add(self, part: Part, duration: float) -> None:
        shown = Fraction(duration / 1000).limit_denominator(1000)
        if max(shown.numerator, shown.denominator) > 65535:
            shown = Fraction(min(round(shown), 65535))
        place = (part.size.width, part.size.height, part.left, part.top)
        self._write(b"fcTL", struct.pack(">IIIIHHBB", *place, shown.numerator, shown.denominator, 0, 0))
        for block in png_texts.split(part.content)[1]:
            if self._is_first:
                self._file.write(png_texts.make_chunk(b"IDAT", block))
            else:
                self._write(b"fdAT", block)
        self._is_first = False

    def end(self) -> None:
        self._file.write(png_texts.make_chunk(b"IEND", b""))

    def _write(self, kind: bytes, data: bytes) -> None:
        self._file.write(png_texts.make_chunk(kind, struct.pack(">I", self._number) + data))
        self._number += 1


class _WebpWriter(Writer):
    """Writes the chunks of an animated WebP file (WebP container specification, extended file format)."""

    ICC, ALPHA, EXIF, XMP, ANIMATED = 0x20, 0x10, 0x08, 0x04, 0x02

    def __init__(self, file: BinaryIO, first: Part, frames: int, plays: int) -> None:
        self._file = file
        chunks = dict(_split_webp(first.content))
        self._after = {kind: chunks[kind] for kind in (b"EXIF", b"XMP ") if kind in chunks}
        flags = self.ANIMATED | self.ALPHA * first.has_alpha
        flags |= self.ICC * (b"ICCP" in chunks) | self.EXIF * (b"EXIF" in chunks) | self.XMP * (b"XMP " in chunks)
        file.write(b"RIFF\0\0\0\0WEBP")
        sides = _three(first.canvas.width - 1) + _three(first.canvas.height - 1)
        self._write(b"VP8X", struct.pack("<I", flags) + sides)
        if b"ICCP" in chunks:
            self._write(b"ICCP", chunks[b"ICCP"])
        self._write(b"ANIM", struct.pack("<IH", 0, min(plays, 65535)))

    def add(self, part: Part, duration: float) -> None:
        numbers = (part.left // 2, part.top // 2, part.size.width - 1, part.size.height - 1)
        head = b"".join(map(_three, (*numbers, min(round(duration), 2**24 - 1)))) + b"\2"  # not blended with others
        pixels = [_riff(kind, data) for kind, data in _split_webp(part.content) if kind in (b"ALPH", b"VP8 ", b"VP8L")]
        self._write(b"ANMF", head + b"".join(pixels))

    def end(self) -> None:
        for kind, data in self._after.items():
            self._write(kind, data)
        size = self._file.tell() - 8
        self._file.seek(4)
        self._file.write(struct.pack("<I", size))

    def _write(self, kind: bytes, data: bytes) -> None:
        self._file.write(_riff(kind, data))


def _riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _split_webp(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(content):
        kind, size = struct.unpack_from("<4sI", content, at)
        yield kind, content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


class _GifWriter(Writer):
    """Writes the blocks of an animated GIF file (GIF89a), each frame with a palette of its own."""

    KEEP, CLEAR = 1 << 2, 2 << 2
    """What becomes of a frame when its time is over: it stays, or its rectangle becomes transparent."""

    def __init__(self, file: BinaryIO, first: Part, frames: int, plays: int) -> None:
        self._file = file
        file.write(b"GIF89a" + struct.pack("<HHBBB", first.canvas.width, first.canvas.height, 0x70, 0, 0))
        if plays != ONCE:
            again = 0 if plays == FOR_EVER else min(plays - 1, 65535)
            file.write(b"!\xff\x0bNETSCAPE2.0\3\1" + struct.pack("<HB", again, 0))

    def add(self, part: Part, duration: float) -> None:
        transparent, depth, palette, pixels = _split_gif(part.content)
        flags = (self.CLEAR if part.has_alpha else self.KEEP) | (transparent is not None)
        shown = min(round(duration / 10), 65535)
        self._file.write(b"!\xf9\4" + struct.pack("<BHBB", flags, shown, transparent or 0, 0))
        place = (part.left, part.top, part.size.width, part.size.height)
        self._file.write(b"," + struct.pack("<HHHHB", *place, 0x80 | depth) + palette + pixels)

    def end(self) -> None:
        self._file.write(b";")


def _split_gif(content: bytes) -> tuple[int | None, int, bytes, bytes]:
    """Returns of a GIF file with one picture the number of the transparent colour, or None, the palette's size as the
    format counts it, the palette, and the compressed pixels."""
    depth, at, transparent = content[10] & 7, 13, None
    palette = content[at : at + (6 << depth)] if content[10] & 0x80 else b""
    at += len(palette)
    while content[at] == 0x21:
        if content[at + 1] == 0xF9 and content[at + 3] & 1:
            transparent = content[at + 6]
        at += 2
        while content[at]:
            at += content[at] + 1
        at += 1
    if content[at + 9] & 0x80:
        depth = content[at + 9] & 7
        palette = content[at + 10 : at + 10 + (6 << depth)]
        at += len(palette)
    start = at = at + 10
    at += 1
    while content[at]:
        at += content[at] + 1
    return transparent, depth, palette, content[start : at + 1]


WRITERS: Final[dict[str, type[Writer]]] = {"PNG": _PngWriter, "WEBP": _WebpWriter, "GIF": _GifWriter}
