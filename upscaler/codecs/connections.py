"""Files as libvips opens them: by number, for it takes names to be UTF-8 text and repeats them in its reports.

Importing this turns off libvips' cache of operations, which is of no use where nothing is read twice.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyvips

pyvips.cache_set_max(0)  # it would keep the last hundred operations: 300 MB after some photographs


def source(file: Path | bytes) -> pyvips.Source:
    """A file or its content to read from."""
    if isinstance(file, bytes):
        return pyvips.Source.new_from_memory(file)
    if os.name == "nt":  # where numbers belong to the library that gave them out
        return pyvips.Source.new_from_file(str(file))
    with file.open("rb") as opened:
        return pyvips.Source.new_from_descriptor(opened.fileno())


def target(path: Path) -> pyvips.Target:
    """A file to write to, empty at first."""
    if os.name == "nt":
        return pyvips.Target.new_to_file(str(path))
    with path.open("wb+") as opened:
        return pyvips.Target.new_to_descriptor(opened.fileno())
