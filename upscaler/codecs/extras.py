"""Finds what a file holds beside the picture that is read: gain maps, films, stray bytes, channels of other kinds.

Each is said in the words of a warning, which follow the file's name.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from ..arrays import PixelArray

GAIN_MAPS = (b"hdrgm:Version", b"HDRGainMap", b"hdrgainmap", b"urn:iso:std:iso:ts:21496:-1")
"""Names of gain maps: Adobe's and Android's, Apple's in JPEG and HEIC, and those of ISO 21496-1."""

TONE_MAPPED = re.compile(rb"infe.{12}tmap", re.DOTALL)
"""The item of a HEIC or AVIF file that is made of a picture and its gain map."""

FILMS = (b"MotionPhoto", b"MicroVideo", b"ftyp")
"""Names in files with a film; the last one stands at the beginning of every HEIC file, too."""

FILM = re.compile(rb"(?:MotionPhoto|MicroVideo)(?:=[\"']|>)1|MotionPhoto_Data|\xff\xd9.{0,64}?\0\0\0.ftyp", re.DOTALL)
"""What cameras say of a film in a photograph, and the beginning of one behind it."""

NO_RANGE = "its gain map, which gives bright places a higher range on some displays, is left out."
NO_PALETTE = "it has no palette, as where its end is missing; it is taken for grey."
NO_FILM = "it is a motion photo; its film is left out."

SCAN, HEAD = 0xDA, 2**16


def in_jpeg(file: BinaryIO) -> list[str]:
    """Finds a gain map and a film in a JPEG file."""
    content = file.read()
    has_film = any(name in content for name in FILMS) and FILM.search(content)
    return [*([NO_RANGE] if has_gain_map(content) else []), *([NO_FILM] if has_film else [])]


def has_gain_map(content: bytes) -> bool:
    """Returns whether a file names a gain map."""
    return any(name in content for name in GAIN_MAPS)


def in_heif(file: BinaryIO) -> list[str]:
    """Finds a gain map and a film in a HEIC or AVIF file."""
    content = file.read()
    head = content[:HEAD]
    has_map = has_gain_map(head) or TONE_MAPPED.search(head)
    has_film = any(name in content for name in FILMS[:2]) and FILM.search(content)
    return [*([NO_RANGE] if has_map else []), *([NO_FILM] if has_film else [])]


def in_pcx(file: BinaryIO) -> list[str]:
    """Finds that a PCX file with one plane of 8 bits has no palette at its end, and does not say that it is grey."""
    content = file.read()
    version, bits, planes, kind = (content[at : at + 1] for at in (1, 3, 65, 68))
    may_have = (version, bits, planes) == (b"\5", b"\x08", b"\1") and kind != b"\2"
    return [NO_PALETTE] if may_have and content[-769:-768] != b"\x0c" else []


def without_stray_bytes(content: bytes) -> tuple[bytes, int]:
    """Takes out what stands between the segments of a JPEG file's head, before its pixels, where it belongs to none.

    Returns the file without it, and how many bytes it was.
    """
    parts, at, strays = [content[:2]], 2, 0
    while at + 4 <= len(content):
        marker = content[at + 1]
        if content[at] != 0xFF or marker < 0xC0 or 0xD0 <= marker <= 0xD9 or marker == 0xFF:
            at += 1
            strays += 1
            continue
        if marker == SCAN:
            return b"".join((*parts, content[at:])), strays
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        parts.append(content[at:end])
        at = end
    return content, 0


def reason_against_alpha(_: BinaryIO, alpha: PixelArray) -> str | None:
    """Says why the last channel is no transparency in formats whose files often leave it zero; None if it is."""
    return None if alpha.any() else "nothing of the picture would be seen"


def reason_against_alpha_of_psd(file: BinaryIO, _: PixelArray) -> str | None:
    """Says why the last channel of a PSD file is no transparency; None if it is.

    It is one only where the number of layers is negative (Adobe Photoshop File Formats, layer info).
    """
    file.seek(26)
    for _section in range(2):  # colour modes, and resources of the picture
        file.seek(int.from_bytes(file.read(4), "big"), 1)
    layers, _size, count = (int.from_bytes(file.read(size), "big", signed=size == 2) for size in (4, 4, 2))
    return None if layers >= 6 and count < 0 else "it is a saved selection, or the like"
