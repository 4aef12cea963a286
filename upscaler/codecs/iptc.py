"""Reads and writes IPTC records in Photoshop's image resources, which hold them in JPEG files.

Resources of other kinds, such as a thumbnail of the old picture, are left out.
"""

from __future__ import annotations

import struct

RECORDS = 0x0404
HEADER = b"Photoshop 3.0\0"


def find_records(resources: bytes) -> bytes | None:
    """Returns the records in a block of resources, with or without its header; None if there are none."""
    at = len(HEADER) if resources.startswith(HEADER) else 0
    while resources[at : at + 4] == b"8BIM" and at + 12 <= len(resources):
        kind, name = struct.unpack_from(">HB", resources, at + 4)
        start = at + 6 + (name + 2) // 2 * 2 + 4
        if start > len(resources):
            break
        (size,) = struct.unpack_from(">I", resources, start - 4)
        if kind == RECORDS:
            return resources[start : start + size] or None
        at = start + (size + 1) // 2 * 2
    return None


def make_resources(records: bytes) -> bytes:
    """Returns a block of resources, with its header, that holds these records."""
    padding = bytes(len(records) % 2)
    return HEADER + struct.pack(">4sHHI", b"8BIM", RECORDS, 0, len(records)) + records + padding
