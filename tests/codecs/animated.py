"""Small animations and documents that tests make and look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

SUFFIXES = ("gif", "webp", "png", "avif", "tif")

DURATIONS = [100, 50, 70, 30, 330]

LOSSLESS = {"webp": {"lossless": True}, "avif": {"quality": 95, "subsampling": "4:4:4"}, "gif": {"disposal": 2}}


def frame(number: int, has_alpha: bool = False, width: int = 48, height: int = 40) -> NDArray[np.uint8]:
    """(height, width, 3 or 4): a block that moves, and a hole that moves the other way."""
    y, x = np.mgrid[:height, :width]
    pixels = np.dstack([x * 5, y * 6, np.full_like(x, 60), np.full_like(x, 255)]).astype(np.uint8)
    pixels[10:20, 4 + number * 6 : 12 + number * 6, :3] = 255, 255, 0
    if has_alpha:
        pixels[25:35, 30 - 4 * number : 40 - 4 * number, 3] = 0
    return pixels if has_alpha else pixels[:, :, :3].copy()


def animation(path: Path, has_alpha: bool = False, count: int = 5, **options: Any) -> Path:
    """Writes an animation in the format of its suffix."""
    images = [Image.fromarray(frame(number, has_alpha)) for number in range(count)]
    durations = (DURATIONS * count)[:count]
    options = {**LOSSLESS.get(path.suffix[1:], {}), **options}
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, **options)
    return path


def document(path: Path) -> Path:
    """Writes a TIFF of three pages, which have different sizes, modes, resolutions and kinds of compression."""
    pages = [
        (Image.fromarray(frame(0)), "tiff_lzw"),
        (Image.fromarray(frame(1)[:20, :30]).convert("L"), "jpeg"),
        (Image.fromarray(frame(2)).convert("1"), "group4"),
    ]
    with TiffImagePlugin.AppendingTiffWriter(str(path), True) as file:
        for number, (page, compression) in enumerate(pages):
            dpi = 100 * (number + 1)
            page.save(file, "TIFF", compression=compression, dpi=(dpi, dpi), description=f"page {number + 1}")
            file.newFrame()
    return path


def shown(path: Path) -> list[NDArray[np.uint8]]:
    """The frames of a file as Pillow composes them, (height, width, 4)."""
    found = []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append(np.asarray(image.convert("RGBA")))
    return found


def facts(path: Path) -> tuple[int | None, list[float]]:
    """How often a file says that it loops, and its durations in milliseconds."""
    durations = []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            durations.append(image.info.get("duration"))
        return image.info.get("loop"), durations
