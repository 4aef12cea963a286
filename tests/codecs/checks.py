"""How tests write, read and compare pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image

from upscaler.codecs import FORMATS, EncodeOptions, encode
from upscaler.picture import Picture

ORIENTATIONS = range(1, 9)


DEPTHS = [(depth, channels) for depth in (8, 16) for channels in (1, 2, 3, 4)]


WRITTEN = {format.suffixes[0][1:]: format for format in FORMATS if format.writer and format.is_ready()}


PHOTO = ("jpg", "png", "webp", "tif", "avif")


EXACT = ("png", "tif", "bmp", "jp2", "ppm", "tga")


def same(found: NDArray[Any], wanted: NDArray[Any]) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def close(found: NDArray[Any], wanted: NDArray[Any], levels: float) -> None:
    """Within so many 8-bit levels on average."""
    assert found.shape == wanted.shape
    top = np.iinfo(found.dtype).max
    assert np.abs(found / top - wanted / np.iinfo(wanted.dtype).max).mean() * 255 <= levels


def written(picture: Picture, folder: Path, suffix: str, **options: Any) -> Path:
    path = folder / f"out.{suffix}"
    encode(picture, path, EncodeOptions(overwrite=True, **options))
    return path


def seen(path: Path) -> NDArray[Any]:
    """The pixels of a file, by libvips or Pillow and not by us, with as many channels as it has."""
    if WRITTEN[path.suffix[1:]].writer == "vips":
        return np.atleast_3d(by_vips(path).numpy())
    if path.suffix == ".ppm":  # of which Pillow reads 8 bits
        pixels = np.atleast_3d(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        return pixels[:, :, ::-1]
    with Image.open(path) as image:
        return np.atleast_3d(np.asarray(image))


def by_vips(path: Path) -> pyvips.Image:
    """Not by its name: libvips remembers what it has read under one."""
    return pyvips.Image.new_from_buffer(path.read_bytes(), "")


def off(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """How far from each other, on average, in 8-bit levels."""
    top, full = np.iinfo(found.dtype).max, np.iinfo(wanted.dtype).max
    return float(np.abs(found / top - wanted / full).mean() * 255)


def read_profile(path: Path) -> bytes | None:
    if WRITTEN[path.suffix[1:]].writer == "vips":
        image = by_vips(path)
        return bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else None
    with Image.open(path) as picture:
        picture.load()
        profile: bytes | None = picture.info.get("icc_profile")
    return profile
