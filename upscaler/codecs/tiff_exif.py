"""Reads and writes EXIF and IPTC in TIFF files, where they are directories among those of the pixels.

Classic and BigTIFF, both byte orders (TIFF 6.0, section 2). An EXIF block is itself a small classic TIFF.

The module is longer than others because pages are joined with the same reading and writing of directories.
"""

from __future__ import annotations

import io
import shutil
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias, Union

import numpy as np

IPTC, DESCRIPTION = 0x83BB, 0x010E
POINTERS = frozenset({0x8769, 0x8825, 0xA005})
"""Tags whose value is another directory: EXIF, GPS, interoperability."""

DESCRIPTIVE = POINTERS | {0x010D, DESCRIPTION, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298}
DESCRIPTIVE |= {IPTC, *range(0x9C9B, 0x9CA0)}
"""Tags of the first directory that describe the picture and not its file: title, maker, model, software, date, artist,
computer, rating, copyright, Windows' texts."""

STRUCTURE = (b'{"shape"', b"ImageJ=")
"""Beginnings of a description by which programs find their pixels: wrong for pixels of another size."""

BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value by its kind; rationals, 5 and 10, are two numbers of four bytes."""

BROKEN = (struct.error, ValueError, OverflowError, OSError)
"""Exceptions that a broken file raises when it is read."""

LARGEST = 2**24
MOST_PAGES = 2**16
EXIF, MAKER_NOTE, DNG_VERSION = 0x8769, 0x927C, 0xC612
SUB_DIRECTORIES, PHOTOMETRIC, EXTRA_SAMPLES = 0x014A, 0x0106, 0x0152
FILTERED = (32803, 34892)
"""Photometric interpretations of a sensor's own samples."""

YCBCR = 6
"""The photometric interpretation of luminance and chrominance."""

ORIENTATION, COMPRESSION, JPEG = 0x0112, 0x0103, 7

SUBFILE_TYPE, OLD_SUBFILE_TYPE = 0x00FE, 0x00FF
REDUCED, MASK = 1, 4
"""Bits of the kind of a directory (TIFF 6.0, NewSubfileType)."""

OFFSETS = frozenset({0x0111, 0x0144})
"""Tags that say where pixels lie in the file: strips and tiles."""

LARGEST_CLASSIC = 2**32 - 2**28
"""Bytes of pages up to which their file is a classic one, with room for directories."""

DEEPEST = 3


@dataclass(frozen=True, slots=True)
class Value:
    """Numbers or text of one tag; `data` is little-endian."""

    kind: int
    count: int
    data: bytes


Directory: TypeAlias = Mapping[int, Union[Value, "Directory"]]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file stores its numbers; an entry ends in 4 or 8 bytes, which are its value or the offset of it."""

    order: str
    big: bool

    @property
    def count(self) -> str:
        return self.order + ("Q" if self.big else "H")

    @property
    def place(self) -> str:
        return self.order + ("Q" if self.big else "I")

    @property
    def entry(self) -> str:
        return self.order + ("HHQ8s" if self.big else "HHI4s")


def read(file: BinaryIO) -> dict[int, Value | Directory]:
    """Reads the descriptive tags of a TIFF file or EXIF block, with the directories below; empty if it is broken."""
    try:
        found = _directory(file, *_begin(file), DESCRIPTIVE)
    except BROKEN:
        return {}
    text = found.get(DESCRIPTION)
    if isinstance(text, Value) and text.data.startswith(STRUCTURE):
        del found[DESCRIPTION]
    return found


def read_chosen(file: BinaryIO, tags: frozenset[int]) -> dict[int, Value | Directory]:
    """Reads these tags of the first directory of a TIFF file or EXIF block; empty if it is broken."""
    with suppress(*BROKEN):
        return _directory(file, *_begin(file), tags)
    return {}


def read_tags(file: BinaryIO) -> set[int]:
    """Returns the numbers of all tags of the first directory; empty if it is broken."""
    try:
        return set(_entries(file, *_begin(file))[0])
    except BROKEN:
        return set()


def find_pages(file: BinaryIO) -> list[int]:
    """Returns the numbers of the directories that are pages, not smaller versions or masks of others.

    A chain that is broken or comes back to itself ends there.
    """
    return [number for number, _ in find_page_places(file)]


def find_page_places(file: BinaryIO) -> list[tuple[int, int]]:
    """Returns what `find_pages` does, with the offset of each directory."""
    pages: list[tuple[int, int]] = []
    seen: set[int] = set()
    with suppress(*BROKEN):
        layout, at = _begin(file)
        while at and at not in seen and len(seen) < MOST_PAGES:
            here = at
            seen.add(here)
            entries, at = _entries(file, layout, here)
            kind, old_kind = (_number(entries.get(tag), layout) for tag in (SUBFILE_TYPE, OLD_SUBFILE_TYPE))
            if not kind & (REDUCED | MASK) and old_kind != 2:
                pages.append((len(seen) - 1, here))
    return pages


def begin_with(file: BinaryIO, at: int) -> None:
    """Makes the directory at that offset the only one of a TIFF file: its first, followed by none. Raises ValueError,
    struct.error and OSError for a file that is broken."""
    layout, _ = _begin(file)
    file.seek(8 if layout.big else 4)
    file.write(struct.pack(layout.place, at))
    file.seek(at)
    (count,) = struct.unpack(layout.count, file.read(struct.calcsize(layout.count)))
    file.seek(at + struct.calcsize(layout.count) + count * struct.calcsize(layout.entry))
    file.write(bytes(struct.calcsize(layout.place)))


def join(files: Sequence[Path], output: BinaryIO) -> None:
    """Writes a TIFF file whose pages are the first ones of others, as they are there; a BigTIFF if it is long.

    What a page holds is copied as a whole, and its directories are written anew behind it. Raises ValueError,
    struct.error and OSError.
    """
    big = sum(file.stat().st_size for file in files) > LARGEST_CLASSIC
    layout = Layout("<", big)
    output.write(b"II+\0\x08\0\0\0" + bytes(8) if big else b"II*\0" + bytes(4))
    link = 8 if big else 4
    for path in files:
        base = _align(output)
        with path.open("rb") as file:
            shutil.copyfileobj(file, output, 2**20)
            directory = dict(_directory(file, *_begin(file)))
        for tag in OFFSETS & directory.keys():
            directory[tag] = _move(directory[tag], base, big)
        at = _align(output)
        output.write(_pack(directory, layout, at))
        output.seek(link)
        output.write(struct.pack(layout.place, at))
        link = at + struct.calcsize(layout.count) + len(directory) * struct.calcsize(layout.entry)
        output.seek(0, io.SEEK_END)


def _align(file: BinaryIO) -> int:
    """Adds a byte to a file whose length is odd, since directories begin at even offsets; returns its length."""
    end = file.seek(0, io.SEEK_END)
    file.write(bytes(end % 2))
    return end + end % 2


def _move(value: Value | Directory, by: int, big: bool) -> Value:
    """Returns offsets that are larger by so many bytes."""
    assert isinstance(value, Value)
    numbers = np.frombuffer(value.data, f"<u{BYTES[value.kind]}").astype("<u8") + by
    return Value(16 if big else 4, value.count, numbers.astype("<u8" if big else "<u4").tobytes())


def find_extra_samples(file: BinaryIO) -> list[int]:
    """Returns the kinds of the channels beyond colour: 0 for any, 1 and 2 for transparency; empty if none is stated."""
    with suppress(*BROKEN):
        layout, at = _begin(file)
        return _numbers(file, _entries(file, layout, at)[0].get(EXTRA_SAMPLES), layout)
    return []


def read_number(block: bytes, tag: int) -> int:
    """Returns the whole number of a tag in the first directory of an EXIF block; 0 if it has none."""
    file = io.BytesIO(block)
    with suppress(*BROKEN):
        layout, at = _begin(file)
        return _number(_entries(file, layout, at)[0].get(tag), layout)
    return 0


def states_orientation(file: BinaryIO) -> bool:
    """Returns whether a TIFF file says how it is turned; if it does not, libvips reports that it is upright."""
    return ORIENTATION in read_tags(file)


def holds_chrominance(file: BinaryIO) -> bool:
    """Returns whether a TIFF file holds luminance and chrominance outside of JPEG, which libvips takes for RGB."""
    with suppress(*BROKEN):
        layout, at = _begin(file)
        entries = _entries(file, layout, at)[0]
        kind, compression = (_number(entries.get(tag), layout) for tag in (PHOTOMETRIC, COMPRESSION))
        return kind == YCBCR and compression != JPEG
    return False


def is_raw(file: BinaryIO) -> bool:
    """Returns whether a TIFF file is a camera's raw file: a DNG, one whose pixels lie behind a colour filter, or one
    that begins with a smaller version of what stands in directories below it."""
    with suppress(*BROKEN):
        layout, at = _begin(file)
        first = _entries(file, layout, at)[0]
        below = _numbers(file, first.get(SUB_DIRECTORIES), layout)
        if DNG_VERSION in first or (below and _number(first.get(SUBFILE_TYPE), layout) & REDUCED):
            return True
        directories = [first, *(_entries(file, layout, at)[0] for at in below)]
        return any(_number(entries.get(PHOTOMETRIC), layout) in FILTERED for entries in directories)
    return False


def make_block(directory: Directory) -> bytes:
    """Returns an EXIF block that holds these tags."""
    return b"II*\0\x08\0\0\0" + _pack(directory, Layout("<", False), 8)


def add(file: BinaryIO, directory: Directory) -> None:
    """Puts tags into the first directory of a TIFF file or EXIF block, in place of those with the same number.

    The directory is written anew at the end; nothing else moves. Raises ValueError or struct.error if `file` is
    neither, or grows beyond what it can address.
    """
    layout, first = _begin(file)
    old, link = _entries(file, layout, first)
    base = (file.seek(0, io.SEEK_END) + 1) // 2 * 2
    file.seek(base)
    file.write(_pack(directory, layout, base, old, link))
    file.seek(8 if layout.big else 4)
    file.write(struct.pack(layout.place, base))


def _begin(file: BinaryIO) -> tuple[Layout, int]:
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        raise ValueError("not a TIFF structure")
    layout = Layout(order, struct.unpack_from(order + "H", head, 2) == (43,))
    return layout, struct.unpack_from(layout.place, head, 8 if layout.big else 4)[0]


def _entries(file: BinaryIO, layout: Layout, at: int) -> tuple[dict[int, bytes], int]:
    """Reads the bytes of a directory's entries by tag, and the offset of the next directory."""
    file.seek(at)
    (count,) = struct.unpack(layout.count, file.read(struct.calcsize(layout.count)))
    size = struct.calcsize(layout.entry)
    table = file.read(min(count, 0xFFFF) * size)
    rows = [table[start : start + size] for start in range(0, len(table) - size + 1, size)]
    link = file.read(struct.calcsize(layout.place)).ljust(struct.calcsize(layout.place), b"\0")
    return {struct.unpack_from(layout.order + "H", row)[0]: row for row in rows}, struct.unpack(layout.place, link)[0]


def _number(row: bytes | None, layout: Layout) -> int:
    """Returns the whole number in an entry; 0 if there is no entry, or none of numbers."""
    if row is None:
        return 0
    _, kind, count, data = struct.unpack(layout.entry, row)
    width = {1: 1, 3: 2, 4: 4}.get(kind, 0)
    return int.from_bytes(data[:width], "big" if layout.order == ">" else "little") if count == 1 else 0


def _numbers(file: BinaryIO, row: bytes | None, layout: Layout) -> list[int]:
    """Returns the whole numbers in an entry, at most 64."""
    if row is None:
        return []
    _, kind, count, data = struct.unpack(layout.entry, row)
    width, count = {3: 2, 4: 4, 13: 4, 16: 8, 18: 8}.get(kind, 0), min(count, 64)
    if width == 0:
        return []
    if width * count > len(data):
        file.seek(struct.unpack(layout.place, data)[0])
        data = file.read(width * count)
    return [int(number) for number in np.frombuffer(data[: width * count], f"{layout.order}u{width}")]


def _directory(
    file: BinaryIO, layout: Layout, at: int, wanted: frozenset[int] | None = None, depth: int = 1
) -> dict[int, Value | Directory]:
    found: dict[int, Value | Directory] = {}
    for tag, row in _entries(file, layout, at)[0].items():
        _, kind, count, data = struct.unpack(layout.entry, row)
        size = BYTES.get(kind, 0) * count
        if not 0 < size <= LARGEST or (wanted is not None and tag not in wanted):
            continue
        if size > len(data):
            file.seek(struct.unpack(layout.place, data)[0])
            data = file.read(size)
        if len(data) < size:
            continue
        data = _swap(kind, data[:size], layout.order)
        if tag not in POINTERS:
            found[tag] = Value(kind, count, data)
        elif depth < DEEPEST:
            found[tag] = _directory(file, layout, int.from_bytes(data, "little"), None, depth + 1)
    return found


def _pack(
    directory: Directory, layout: Layout, base: int, old: Mapping[int, bytes] | None = None, link: int = 0
) -> bytes:
    """Returns the bytes of a directory at offset `base`: entries in order, their values, directories below."""
    old = old or {}
    tags = sorted({*directory, *old})
    table = bytearray(struct.pack(layout.count, len(tags)))
    room = struct.calcsize(layout.place)
    after = base + len(table) + len(tags) * struct.calcsize(layout.entry) + room
    values = bytearray()
    for tag in tags:
        if tag not in directory:
            table += old[tag]
            continue
        value, place = directory[tag], struct.pack(layout.place, after + len(values))
        if isinstance(value, Value):
            data = _swap(value.kind, value.data, layout.order)
            table += struct.pack(layout.entry, tag, value.kind, value.count, data if len(data) <= room else place)
            values += data + bytes(len(data) % 2) if len(data) > room else b""
        else:
            table += struct.pack(layout.entry, tag, 16 if layout.big else 4, 1, place)
            values += _pack(value, layout, after + len(values))
    return bytes(table + struct.pack(layout.place, link) + values)


def _swap(kind: int, data: bytes, order: str) -> bytes:
    """Converts values between little-endian and the file's byte order."""
    width = 4 if kind in (5, 10) else BYTES[kind]
    return data if order == "<" or width == 1 else np.frombuffer(data, f"u{width}").byteswap().tobytes()
