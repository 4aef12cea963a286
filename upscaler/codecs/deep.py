"""Portable maps and JPEG 2000 of more than 8 bits: Pillow has 8 for colour."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..arrays import PixelArray

HEAD = 2**20
CODESTREAM = b"\xff\x4f\xff\x51"
DEPTH_WITHIN = 40
"""Bytes from the start of a JPEG 2000 codestream to the depth of its first component (ISO 15444-1, A.5.1)."""

WORD = re.compile(rb"(?:\s|#[^\n]*\n)*([^\s#]+)")


def largest_value(file: Path | io.BytesIO, format: str) -> int:
    """The largest sample value that the head of a file declares; 255 for other formats."""
    head = content(file, HEAD)
    if format == "PPM" and head[1:2] in b"2356":
        words, _ = _words(head)
        return int(words[3]) if len(words) == 4 and words[3].isdigit() else 255
    at = head.find(CODESTREAM) + 2
    if format == "JPEG2000" and 2 <= at < len(head) - DEPTH_WITHIN:
        return int(2 ** ((head[at + DEPTH_WITHIN] & 0x7F) + 1)) - 1
    return 255


def read(file: Path | io.BytesIO, format: str, largest: int) -> PixelArray | None:
    """16-bit pixels of a file that Pillow has read to its end without complaint; None if they cannot be had."""
    data = content(file)
    try:
        pixels = _portable_map(data) if format == "PPM" else _jpeg_2000(data)
    except ValueError:
        return None
    if pixels is None or pixels.max() > largest:
        return None
    scaled: PixelArray = np.rint(pixels * (65535 / largest)).astype(np.uint16)
    return scaled


def write_portable_map(pixels: PixelArray, path: Path) -> None:
    """16-bit grey or RGB pixels."""
    height, width, channels = pixels.shape
    with path.open("wb") as file:
        file.write(b"P%d\n%d %d\n65535\n" % (5 if channels == 1 else 6, width, height))
        for row in pixels:
            file.write(row.astype(">u2").tobytes())


def content(file: Path | io.BytesIO, size: int = -1) -> bytes:
    """The first `size` bytes, or all."""
    if isinstance(file, io.BytesIO):
        return file.getvalue() if size < 0 else file.getvalue()[:size]
    with file.open("rb") as opened:
        return opened.read(size)


def _words(data: bytes) -> tuple[list[bytes], int]:
    """Kind, width, height and largest value of a portable map, and where they end."""
    words: list[bytes] = []
    at = 0
    while len(words) < 4 and (found := WORD.match(data, at)):
        words.append(found[1])
        at = found.end()
    return words, at


def _portable_map(data: bytes) -> Any:
    words, at = _words(data)
    width, height, channels = int(words[1]), int(words[2]), 3 if words[0] in (b"P3", b"P6") else 1
    if words[0] in (b"P5", b"P6"):
        values = np.frombuffer(data, ">u2", width * height * channels, at + 1)
    else:
        values = np.array(data[at:].split()[: width * height * channels], np.uint16)
    return values.reshape(height, width, channels)


def _jpeg_2000(data: bytes) -> Any:
    pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]] if pixels.shape[2] > 1 else pixels
