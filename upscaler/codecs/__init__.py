"""Reads and writes pictures: the table of formats, reading by content, writing whole or not at all."""

from .decode import Source, decode, looks_like_picture
from .encode import (
    DEFAULT_OPTIONS,
    EncodeOptions,
    check,
    check_format,
    encode,
    encode_part,
    encode_stream,
    format_for_stream,
    place,
    write_part,
)
from .formats import FORMATS, Format, by_name, by_suffix, choices, sniff, writable
from .frames import Frames, open_frames

__all__ = [
    "DEFAULT_OPTIONS",
    "FORMATS",
    "EncodeOptions",
    "Format",
    "Frames",
    "Source",
    "by_name",
    "by_suffix",
    "check",
    "check_format",
    "choices",
    "decode",
    "encode",
    "encode_part",
    "encode_stream",
    "format_for_stream",
    "looks_like_picture",
    "open_frames",
    "place",
    "sniff",
    "writable",
    "write_part",
]
