"""Reads and writes texts in PNG files, because libvips takes all of them for ASCII.

ImageMagick and exiftool also store IPTC as a text there.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from . import iptc

SIGNATURE = 8
XMP = "XML:com.adobe.xmp"
RAW = "Raw profile type "
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
MOST_FRAMES = 2**16
LARGEST = 2**24
"""Bytes of one text; longer ones are left out."""


def read(file: BinaryIO) -> dict[str, str]:
    """Reads all texts but XMP by their keys; of equal keys the first counts. Broken texts are left out."""
    texts: dict[str, str] = {}
    for kind, data in read_chunks(file, TEXTS):
        try:
            key, text = _read_text(kind, data)
        except (ValueError, zlib.error):
            continue
        if key and key != XMP:
            texts.setdefault(key, text)
    return texts


def find_frames(file: BinaryIO) -> list[int]:
    """Returns the numbers of the frames of an animated PNG, a still picture before them counted in; [0] for others."""
    frames, kind = 0, b""
    for kind, data in read_chunks(file, (b"acTL", b"fcTL", b"IDAT")):
        if kind != b"acTL":
            break
        frames = int.from_bytes(data[:4], "big")
    return list(range(min(max(frames + (frames > 0 and kind == b"IDAT"), 1), MOST_FRAMES)))


def take_profile(texts: dict[str, str], name: str) -> bytes | None:
    """Removes the raw profile of that name from `texts` and returns its bytes.

    Its text is a line, a line with its length, then hexadecimal lines.
    """
    text = texts.pop(RAW + name, None)
    try:
        return None if text is None else bytes.fromhex("".join(text.strip().split("\n")[2:])) or None
    except ValueError:
        return None


def make_chunks(exif: bytes | None, records: bytes | None, texts: Mapping[str, str]) -> bytes:
    """Returns chunks to be inserted after the header of a PNG file."""
    chunks = [] if exif is None else [make_chunk(b"eXIf", exif)]
    if records is not None:
        data = iptc.make_resources(records).removeprefix(iptc.HEADER)
        chunks.append(make_chunk(b"tEXt", f"{RAW}iptc\0\niptc\n{len(data):8}\n{data.hex()}\n".encode()))
    for key, text in texts.items():
        name = key.encode("latin-1", "replace")[:79]
        try:
            chunks.append(make_chunk(b"tEXt", name + b"\0" + text.encode("latin-1")))
        except UnicodeEncodeError:
            chunks.append(make_chunk(b"iTXt", name + bytes(5) + text.encode("utf-8", "replace")))
    return b"".join(chunks)


def read_chunks(file: BinaryIO, kinds: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Reads the chunks of these kinds: their kind and content."""
    file.seek(SIGNATURE)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return
        if kind in kinds and size <= LARGEST:
            yield kind, file.read(size)
            file.seek(4, io.SEEK_CUR)
        else:
            file.seek(size + 4, io.SEEK_CUR)


def split(content: bytes) -> tuple[bytes, list[bytes]]:
    """Returns all that stands before the pixels of a PNG file, and the content of the chunks that hold these."""
    blocks, head, at = [], 0, SIGNATURE
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        if kind == b"IDAT":
            head = head or at
            blocks.append(content[at + 8 : at + 8 + size])
        at += size + 12
    return content[:head], blocks


def _read_text(kind: bytes, data: bytes) -> tuple[str, str]:
    name, _, rest = data.partition(b"\0")
    key = name.decode("latin-1")
    if kind == b"tEXt":
        return key, rest.decode("latin-1")
    if kind == b"zTXt":
        return key, _inflate(rest[1:]).decode("latin-1")
    compressed = rest[:1] == b"\1"
    _language, _keyword, text = rest[2:].split(b"\0", 2)
    return key, (_inflate(text) if compressed else text).decode("utf-8")


def _inflate(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, LARGEST)


def make_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
