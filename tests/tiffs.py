"""Writes TIFF structures of any kind, EXIF blocks among them, by nothing but `struct`: the tests' own pen."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL = 1, 2, 3, 4, 5, 7, 10
LETTER = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I", RATIONAL: "I", UNDEFINED: "B", SRATIONAL: "i", 12: "d", 99: "B"}

Tag: TypeAlias = tuple[int, str | bytes | tuple[int, ...]]
Tags: TypeAlias = Mapping[int, Union[Tag, "Tags"]]
"""By number: kind and values, or the tags of a directory below."""


def text(words: str) -> Tag:
    return ASCII, words.encode() + b"\0"


def short(*values: int) -> Tag:
    return SHORT, values


def long(*values: int) -> Tag:
    return LONG, values


def rational(*values: int) -> Tag:
    """Above and below in turn."""
    return RATIONAL, values


def raw(data: bytes) -> Tag:
    return UNDEFINED, data


def structure(
    tags: Tags, order: str = "<", big: bool = False, data: bytes = b"", next_tags: Tags | None = None
) -> bytes:
    """A header, `data` at byte 16, the directory of `tags` and those below it, and `next_tags` as the one after it."""
    mark = b"II" if order == "<" else b"MM"
    at = 16 + len(data) + len(data) % 2
    first = _directory(tags, order, big, at, 0)
    if next_tags is not None:
        after = at + len(first)
        first = _directory(tags, order, big, at, after) + _directory(next_tags, order, big, after, 0)
    place = struct.pack(order + "HHHQ", 43, 8, 0, at) if big else struct.pack(order + "HI8x", 42, at)
    return mark + place + data + bytes(len(data) % 2) + first


def tiff(
    pixels: NDArray[Any], tags: Tags | None = None, order: str = "<", big: bool = False, next_tags: Tags | None = None
) -> bytes:
    """An uncompressed TIFF file in one strip; pixels of any kind, (height, width) or (height, width, channels)."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    own: dict[int, Tag | Tags] = {
        256: long(width),
        257: long(height),
        258: short(*[8 * pixels.itemsize] * channels),
        259: short(1),
        262: short(2 if channels >= 3 else 1),
        273: long(16),
        277: short(channels),
        278: long(height),
        279: long(len(data)),
        339: short(*[{"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]] * channels),
    }
    if channels in (2, 4):
        own[338] = short(2)
    return structure(own | dict(tags or {}), order, big, data, next_tags)


def _directory(tags: Tags, order: str, big: bool, at: int, link: int) -> bytes:
    count, place, room = ("Q", "Q", 8) if big else ("H", "I", 4)
    behind = at + struct.calcsize("=" + count) + len(tags) * (20 if big else 12) + room
    table, values = struct.pack(order + count, len(tags)), b""
    for tag, content in sorted(tags.items()):
        if isinstance(content, Mapping):
            kind, number, data = 16 if big else LONG, 1, struct.pack(order + place, behind + len(values))
            values += _directory(content, order, big, behind + len(values), 0)
        else:
            kind, items = content
            items = items.encode() if isinstance(items, str) else items
            number = len(items) // (2 if kind in (RATIONAL, SRATIONAL) else 1)
            data = struct.pack(f"{order}{len(items)}{LETTER[kind]}", *items)
        if len(data) > room:
            values, data = values + data + bytes(len(data) % 2), struct.pack(order + place, behind + len(values))
        table += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, number) + data.ljust(room, b"\0")
    return table + struct.pack(order + place, link) + values


def smooth(width: int, height: int, channels: int = 3, depth: int = 8) -> NDArray[Any]:
    """(height, width, channels): no two corners alike, gentle enough for every lossy format."""
    y, x = np.mgrid[:height, :width] / np.array([[[height - 1]], [[width - 1]]])
    planes = [x, y, (x + y) / 2, 0.3 + 0.7 * x * y]
    chosen = {1: [2], 2: [2, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]
    top = 2**depth - 1
    return np.rint(np.dstack([planes[number] for number in chosen]) * top).astype(np.uint16 if depth > 8 else np.uint8)
