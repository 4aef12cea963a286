"""Allocates arrays of pixels: in memory when small, in an unnamed file on disk when large."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from ..arrays import PixelArray
from ..errors import OutputError

IN_MEMORY = 96 * 2**20
"""Bytes up to which pixels are an ordinary array."""


def allocate(shape: tuple[int, ...], dtype: DTypeLike, folder: Path | None = None) -> PixelArray:
    """Returns an array that is not initialised; beyond IN_MEMORY bytes it is a memory-mapped file in `folder`.

    None is the system's temporary folder. The file vanishes with the array, even if the program is killed (on Windows:
    when it ends). Raises OutputError when the disk has no room for it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, dtype)
    place = folder or Path(tempfile.gettempdir())
    try:
        with tempfile.TemporaryFile(dir=place, prefix=".upscaler-") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            elif shutil.disk_usage(place).free < size:
                raise OSError("not enough free space")
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise OutputError(
            f"{place}: no room for {size / 2**30:.1f} GiB of pixels in the making ({error.strerror or error}). "
            "Free some space, or point TMPDIR or `workspace` to another disk."
        ) from error


def strips(height: int) -> Iterator[slice]:
    """Yields the rows of a picture in strips of at most 256, from top to bottom."""
    for first in range(0, height, 256):
        yield slice(first, min(first + 256, height))
