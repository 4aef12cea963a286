"""Opens files for libvips by number, since it takes names for UTF-8 text and repeats them, and hands it pixels.

Importing this module turns off libvips' cache of operations, which is useless where nothing is read twice.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import pyvips

from ..arrays import PixelArray

Result = TypeVar("Result")

pyvips.cache_set_max(0)  # the last hundred operations would be kept: 300 MB after some photographs


def call(function: Callable[[BinaryIO], Result], file: Path | bytes) -> Result:
    """Returns what `function` finds in a file, or its content."""
    with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as opened:
        return function(opened)


@contextmanager
def escape_report() -> Iterator[None]:
    """Escapes what is no text in libvips' report on an error inside the context: it may repeat bytes of a file."""
    try:
        yield
    except UnicodeDecodeError as error:
        pyvips.vips_lib.vips_error_clear()
        raise pyvips.Error("libvips has failed", error.object.decode("utf-8", "backslashreplace")) from error


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


def make_image(pixels: PixelArray) -> pyvips.Image:
    """Returns an image of grey or sRGB pixels (height, width, 1 to 4 channels)."""
    height, width, channels = pixels.shape
    kind, grey, colour = ("ushort", "grey16", "rgb16") if pixels.itemsize == 2 else ("uchar", "b-w", "srgb")
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels).data, width, height, channels, kind)
    return image.copy(interpretation=grey if channels <= 2 else colour)
