"""Reads portable maps and JPEG 2000 of more than 8 bits a sample, which Pillow reduces to 8 where there is colour."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..arrays import PixelArray

HEAD = 2**20
CODESTREAM = b"\xff\x4f\xff\x51"
DEPTH_WITHIN = 40
"""Offset in bytes of the depth of the first component within a JPEG 2000 codestream (ISO 15444-1, A.5.1)."""

WORD = re.compile(rb"(?:\s|#[^\n]*\n)*([^\s#]+)")


class Reader(NamedTuple):
    """Reads the samples of one format."""

    largest_value: Callable[[bytes], int]
    """The largest sample value that the head of a file declares; 0 if it declares none."""
    pixels: Callable[[bytes], Any]
    """The samples in a whole file, (height, width, channels); None, or ValueError, if they cannot be read."""

    def read(self, file: Path | bytes, shape: tuple[int, ...]) -> PixelArray | None:
        """Reads uint16 pixels, scaled to the full range, from a file that Pillow has read to its end without complaint.

        Returns None if the file has 8 bits. Raises ValueError if its samples cannot be read, or not in that shape.
        """
        largest = self.largest_value(read_content(file, HEAD))
        if largest <= 255:
            return None
        pixels = self.pixels(read_content(file))
        if pixels is None or pixels.max() > largest or pixels.shape != shape:
            raise ValueError("the samples are not those that the head of the file declares")
        scaled: PixelArray = np.rint(pixels * (65535 / largest)).astype(np.uint16)
        return scaled


def write_portable_map(pixels: PixelArray, path: Path) -> None:
    """Writes uint16 pixels (height, width, 1 or 3) as a binary PGM or PPM file."""
    height, width, channels = pixels.shape
    with path.open("wb") as file:
        file.write(b"P%d\n%d %d\n65535\n" % (5 if channels == 1 else 6, width, height))
        for row in pixels:
            file.write(row.astype(">u2").tobytes())


def read_content(file: Path | bytes, size: int = -1) -> bytes:
    """Returns the first `size` bytes of a file, or all."""
    if isinstance(file, bytes):
        return file if size < 0 else file[:size]
    with file.open("rb") as opened:
        return opened.read(size)


def _words(data: bytes) -> tuple[list[bytes], int]:
    """Reads kind, width, height and largest value of a portable map, as they are written, and where they end."""
    words: list[bytes] = []
    at = 0
    while len(words) < 4 and (found := WORD.match(data, at)):
        words.append(found[1])
        at = found.end()
    return words, at


def _largest_of_map(head: bytes) -> int:
    words, _ = _words(head)
    return int(words[3]) if head[1:2] in b"2356" and len(words) == 4 and words[3].isdigit() else 0


def _portable_map(data: bytes) -> Any:
    words, at = _words(data)
    width, height, channels = int(words[1]), int(words[2]), 3 if words[0] in (b"P3", b"P6") else 1
    if words[0] in (b"P5", b"P6"):
        values = np.frombuffer(data, ">u2", width * height * channels, at + 1)
    else:
        values = np.array(data[at:].split()[: width * height * channels], np.uint16)
    return values.reshape(height, width, channels)


def _largest_of_jpeg_2000(head: bytes) -> int:
    at = head.find(CODESTREAM) + 2
    return (2 << (head[at + DEPTH_WITHIN] & 0x7F)) - 1 if 2 <= at < len(head) - DEPTH_WITHIN else 0


def _jpeg_2000(data: bytes) -> Any:
    pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]] if pixels.shape[2] > 1 else pixels


PORTABLE_MAP = Reader(_largest_of_map, _portable_map)
JPEG_2000 = Reader(_largest_of_jpeg_2000, _jpeg_2000)
