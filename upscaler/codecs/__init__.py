"""Bytes to pictures and back: the table of formats, reading by content, writing whole or not at all."""

from .decode import Source, decode, looks_like_picture
from .encode import Output, check, encode, encode_part, encode_stream, place
from .formats import FORMATS, Format, by_name, by_suffix, sniff, writable

__all__ = [
    "FORMATS",
    "Format",
    "Output",
    "Source",
    "by_name",
    "by_suffix",
    "check",
    "decode",
    "encode",
    "encode_part",
    "encode_stream",
    "looks_like_picture",
    "place",
    "sniff",
    "writable",
]
