"""Reading and writing through libvips: JPEG, PNG, WebP, TIFF, AVIF, HEIF, GIF."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from ..arrays import PixelArray
from ..errors import OutputError, PictureError
from ..picture import Metadata, Picture, allocate
from ..tiling import Size
from .formats import Format
from .orientation import swaps_sides, upright
from .profiles import fits

log = logging.getLogger("upscaler")

MILLIMETRES = 25.4
USUAL_DPI = (72.0, 72.0)
"""Written when the source says nothing: libvips cannot leave it out."""

ROWS = 256
"""Fetched at a time; libvips decodes as they are asked for."""

BLOBS = {"exif": "exif-data", "xmp": "xmp-data", "iptc": "iptc-data"}


def read(
    file: Path | bytes,
    format: Format,
    name: str,
    accept_damaged: bool,
    check: Callable[[Size], None],
    workspace: Path | None,
) -> Picture:
    """The first frame or page, upright. `check` is called with the size before any pixel is decoded.

    Raises PictureError when libvips cannot read it to the end.
    """
    try:
        image = _open(file, "none" if accept_damaged else "warning")
        check(Size(image.width, image.height))
        _say_what_is_left_out(image, name)
        profile = _blob(image, "icc-profile-data")
        metadata = _metadata(image, format, file)
        image = _in_rgb_or_grey(image, name)
        if image.interpretation != "b-w" and _blob(image, "icc-profile-data") != profile:
            profile = _blob(image, "icc-profile-data")
        orientation = int(image.get("orientation")) if image.get_typeof("orientation") else 1
        pixels = upright(_fetch(image, workspace), orientation)
    except pyvips.Error as error:
        raise PictureError(f"{name}: {_reason(error, format)}") from error
    if swaps_sides(orientation) and metadata.dpi:
        metadata = Metadata(metadata.exif, metadata.xmp, metadata.iptc, metadata.dpi[::-1], metadata.comments)
    if not fits(profile, pixels.shape[2]):
        profile = None
    return Picture(pixels, profile, metadata, format.name, name)


def write(
    picture: Picture, path: Path, format: Format, quality: int, lossless: bool, compression: int | None, strip: bool
) -> None:
    """One file at exactly `path`, overwriting it. Raises OutputError."""
    height, width, bands = picture.pixels.shape
    kind = "ushort" if picture.depth == 16 else "uchar"
    pixels = np.ascontiguousarray(picture.pixels)
    image = pyvips.Image.new_from_memory(pixels.data, width, height, bands, kind)
    across, down = picture.metadata.dpi or USUAL_DPI
    image = image.copy(
        interpretation=_interpretation(bands, picture.depth), xres=across / MILLIMETRES, yres=down / MILLIMETRES
    )
    _describe(image, picture, strip)
    large = pixels.nbytes > 3 * 2**30
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"Q": quality, "subsample_mode": "off" if quality >= 90 else "on"},
        "PNG": {"compression": 3 if compression is None else compression, "filter": "paeth"},
        "WEBP": {"Q": quality, "lossless": lossless, "smart_subsample": True, "exact": False},
        "TIFF": {
            "compression": "none" if compression == 0 else "deflate",
            "level": compression or 6,
            "predictor": "horizontal",
            "tile": False,
            "bigtiff": large,
        },
        "AVIF": {
            "compression": "av1",
            "Q": quality,
            "lossless": lossless,
            "effort": 2,
            "bitdepth": 12 if picture.depth == 16 else 8,
            "subsample_mode": "off" if lossless or quality >= 90 else "on",
        },
    }
    keep = "icc" if strip else "all"
    saver = {"AVIF": "heifsave_target"}.get(format.name, f"{format.name.lower()}save_target")
    try:
        target = pyvips.Target.new_to_file(str(path))
        getattr(image, saver)(target, keep=keep, **options[format.name])
    except pyvips.Error as error:
        raise OutputError(f"cannot be written as {format.name} ({_last_line(error)}).") from error


def _open(file: Path | bytes, fail_on: str) -> pyvips.Image:
    if isinstance(file, bytes):
        return pyvips.Image.new_from_buffer(file, "", fail_on=fail_on, access="sequential")
    source = pyvips.Source.new_from_file(str(file))
    return pyvips.Image.new_from_source(source, "", fail_on=fail_on, access="sequential")


def _say_what_is_left_out(image: pyvips.Image, name: str) -> None:
    pages = int(image.get("n-pages")) if image.get_typeof("n-pages") else 1
    if pages > 1:
        log.warning("%s: holds %d frames or pages; the first is used.", name, pages)


def _blob(image: pyvips.Image, field: str) -> bytes | None:
    return bytes(image.get(field)) if image.get_typeof(field) else None


def _metadata(image: pyvips.Image, format: Format, file: Path | bytes) -> Metadata:
    blobs = {key: _blob(image, field) for key, field in BLOBS.items()}
    comments = {}
    for field in image.get_fields():
        if field.startswith("png-comment-"):
            comments[field.split("-", 3)[3]] = str(image.get(field))
    return Metadata(dpi=_dpi(image), comments=comments, **blobs)


def _dpi(image: pyvips.Image) -> tuple[float, float] | None:
    """libvips reports 1 pixel a millimetre when a file says nothing; WebP and AVIF say it in their EXIF block only."""
    if (image.xres, image.yres) != (1.0, 1.0):
        return image.xres * MILLIMETRES, image.yres * MILLIMETRES
    fields = [f"exif-ifd0-{name}" for name in ("XResolution", "YResolution", "ResolutionUnit")]
    if not all(image.get_typeof(field) for field in fields):
        return None
    across, down, unit = (str(image.get(field)).split(" ")[0] for field in fields)
    try:
        per_unit = [int(value.split("/")[0]) / int(value.split("/")[1]) for value in (across, down)]
    except (ValueError, IndexError, ZeroDivisionError):
        return None
    factor = {"2": 1.0, "3": 2.54}.get(unit)
    if factor is None or min(per_unit) <= 0:
        return None
    return per_unit[0] * factor, per_unit[1] * factor


def _in_rgb_or_grey(image: pyvips.Image, name: str) -> pyvips.Image:
    """8 or 16 bit, 1 to 4 bands. CMYK goes through its own profile (else a common one), Lab and the like to sRGB."""
    if image.interpretation == "cmyk":
        depth = 16 if image.format == "ushort" else 8
        image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=depth, intent="relative")
    elif image.interpretation in ("lab", "labs", "lch", "xyz", "yxy", "cmc", "hsv", "oklab", "oklch"):
        image = image.colourspace("rgb16" if image.format in ("ushort", "short") else "srgb")
        image = image.copy()
        image.remove("icc-profile-data")
    if image.format not in ("uchar", "ushort"):
        raise PictureError(
            f"{name}: {_samples(image.format)} are not supported (8 or 16 bit whole numbers). Convert it first."
        )
    if image.bands > 4:
        raise PictureError(f"{name}: {image.bands} channels are not supported (1 to 4). Convert it first.")
    return image


def _samples(format: str) -> str:
    known = {"float": "32-bit float pixels", "double": "64-bit float pixels", "uint": "32-bit whole numbers"}
    return known.get(str(format), f"pixels of type {format}")


def _fetch(image: pyvips.Image, workspace: Path | None) -> PixelArray:
    dtype = np.uint16 if image.format == "ushort" else np.uint8
    pixels = allocate((image.height, image.width, image.bands), dtype, workspace)
    region = pyvips.Region.new(image)
    for y in range(0, image.height, ROWS):
        rows = min(ROWS, image.height - y)
        block = np.frombuffer(region.fetch(0, y, image.width, rows), dtype)
        pixels[y : y + rows] = block.reshape(rows, image.width, image.bands)
    return pixels


def _interpretation(bands: int, depth: int) -> str:
    if bands <= 2:
        return "grey16" if depth == 16 else "b-w"
    return "rgb16" if depth == 16 else "srgb"


def _describe(image: pyvips.Image, picture: Picture, strip: bool) -> None:
    """Attaches profile and metadata to an image about to be written."""
    metadata = picture.metadata
    if picture.profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", picture.profile)
    if strip:
        return
    image.set_type(pyvips.GValue.gstr_type, "resolution-unit", "in")
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)
    for key, field in BLOBS.items():
        blob = getattr(metadata, key)
        if blob:
            image.set_type(pyvips.GValue.blob_type, field, blob)
    for number, (key, text) in enumerate(metadata.comments.items()):
        image.set_type(pyvips.GValue.gstr_type, f"png-comment-{number}-{key}", text)


def _reason(error: pyvips.Error, format: Format) -> str:
    detail = error.detail.lower() if isinstance(error.detail, str) else ""
    if format.name == "HEIF" and ("unsupported" in detail or "codec" in detail or "not built" in detail):
        return "HEIC pictures need a decoder that libvips was built without. Convert it to JPEG, PNG or AVIF first."
    truncated = any(
        word in detail for word in ("premature end", "truncated", "unexpected end", "end of file", "bad seek")
    )
    kind = "the file is cut short" if truncated else "the file is damaged"
    return f"{kind} ({_last_line(error)}). --accept-damaged uses what can be read."


def _last_line(error: pyvips.Error) -> str:
    detail = error.detail if isinstance(error.detail, str) else str(error)
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"
