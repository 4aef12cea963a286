"""Opens files for libvips by number: it takes names for UTF-8 text and repeats them in its reports.

Importing this module turns off libvips' cache of operations, which is useless where nothing is read twice.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyvips

pyvips.cache_set_max(0)  # it would keep the last hundred operations: 300 MB after some photographs


def open_source(file: Path | bytes) -> pyvips.Source:
    """Opens a file, or its content, for reading."""
    if isinstance(file, bytes):
        return pyvips.Source.new_from_memory(file)
    if os.name == "nt":  # there, numbers belong to the library that gave them out
        return pyvips.Source.new_from_file(str(file))
    with file.open("rb") as opened:
        return pyvips.Source.new_from_descriptor(opened.fileno())


def open_target(path: Path) -> pyvips.Target:
    """Opens a file for writing, and empties it."""
    if os.name == "nt":
        return pyvips.Target.new_to_file(str(path))
    with path.open("wb+") as opened:
        return pyvips.Target.new_to_descriptor(opened.fileno())
