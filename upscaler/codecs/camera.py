"""Develops cameras' raw files through rawpy, which an extra brings; without it they are refused.

What libvips and Pillow would read of them is a small preview.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from ..errors import PictureError, first_line
from ..picture import Metadata, Picture, allocate
from ..tiling import Size
from . import tiff_exif
from .deep import read_content
from .formats import Format

SRGB_CURVE = (2.4, 12.92)
"""The power and the slope near black of the sRGB curve, as LibRaw takes them."""


def read(
    file: Path | bytes,
    format: Format,
    name: str,
    accept_damaged: bool,
    check: Callable[[Size], None],
    workspace: Path | None,
) -> Picture:
    """Develops a raw file to upright sRGB of 16 bits, with the white balance of the camera and LibRaw's brightness.

    `check` is called with the size before any pixel is decoded. The metadata are those of its first directory without
    the maker's notes, or those of its preview. Raises PictureError when rawpy is not installed or cannot read it.
    """
    try:
        import rawpy
    except ImportError as error:
        raise PictureError(
            f"{name}: this is a camera's raw file, of which only a small preview can be read. "
            "Install 'upscaler[raw]', or develop it into a TIFF first."
        ) from error
    content = io.BytesIO(read_content(file))
    try:
        with rawpy.imread(content) as raw:
            check(Size(raw.sizes.iwidth, raw.sizes.iheight))
            developed = raw.postprocess(use_camera_wb=True, output_bps=16, gamma=SRGB_CURVE)
            metadata = _metadata(content, raw)
    except (rawpy.LibRawError, MemoryError) as error:
        detail = f"LibRaw: {first_line(error)}"
        raise PictureError(
            f"{name}: the camera's raw file is damaged, or of an unknown kind ({detail}). Develop it into a TIFF first."
        ) from error
    pixels = allocate(developed.shape, np.uint16, workspace)
    pixels[:] = developed
    return Picture(pixels, None, metadata, format.name, name)


def _metadata(content: io.BytesIO, raw: Any) -> Metadata:
    directory = tiff_exif.read(content)
    details = directory.get(tiff_exif.EXIF)
    if isinstance(details, dict):  # the notes point to places in the file, and hold further previews
        directory[tiff_exif.EXIF] = {tag: value for tag, value in details.items() if tag != tiff_exif.MAKER_NOTE}
    if directory:
        return Metadata(exif=tiff_exif.make_block(directory))
    try:
        preview = pyvips.Image.jpegload_buffer(bytes(raw.extract_thumb().data))
        block = bytes(preview.get("exif-data")) if preview.get_typeof("exif-data") else b""
    except Exception:  # there is none, or one of another kind
        return Metadata()
    return Metadata(exif=block.removeprefix(b"Exif\0\0") or None)
