"""Reading and writing through Pillow: what libvips' wheel lacks (BMP, TGA, PPM, JPEG 2000, ICO, PSD …)."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from ..arrays import PixelArray
from ..errors import OutputError, PictureError
from ..picture import Metadata, Picture, allocate
from ..tiling import Size
from .formats import Format
from .orientation import swaps_sides, upright
from .profiles import fits

log = logging.getLogger("upscaler")

ORIENTATION = 0x0112
ROWS = 256

_settings = threading.Lock()
"""Guards Pillow's process-wide limits, which are ours only while a file is opened."""


def read(
    file: Path | io.BytesIO,
    format: Format,
    name: str,
    accept_damaged: bool,
    check: Callable[[Size], None],
    workspace: Path | None,
) -> Picture:
    """The first frame, upright. `check` is called with the size before any pixel is decoded.

    Raises PictureError when Pillow cannot read it to the end.
    """
    with _settings:
        limit, truncated = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, accept_damaged
        try:
            with Image.open(file, formats=[format.name]) as image:
                check(Size(*image.size))
                frames = int(getattr(image, "n_frames", 1))
                if frames > 1 and format.name not in ("PSD", "ICO", "ICNS"):  # layers and sizes of one picture
                    log.warning("%s: holds %d frames or pages; the first is used.", name, frames)
                if format.name == "PPM" and image.mode == "RGB" and _maximum(file) > 255:
                    log.warning("%s: 16-bit colour in this format is read with 8 bits.", name)
                image.load()
                picture = picture_of(image, name, workspace)
        except UnidentifiedImageError as error:
            raise PictureError(
                f"{name}: not a picture, or a damaged one, though it begins as {format.name}."
            ) from error
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, OverflowError, MemoryError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PictureError(
                f"{name}: the file is damaged ({reason}). --accept-damaged uses what can be read."
            ) from error
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = limit, truncated
    return Picture(picture.pixels, picture.profile, picture.metadata, format.name, name)


def picture_of(image: Image.Image, name: str, workspace: Path | None = None) -> Picture:
    """A Pillow image of any mode as an upright picture, with its profile, EXIF, XMP and resolution.

    Raises PictureError for floating-point pixels.
    """
    profile = image.info.get("icc_profile")
    exif = image.getexif()
    orientation = exif.get(ORIENTATION, 1)
    image, profile = _in_supported_mode(image, profile, name)
    pixels = upright(_fetch(image, workspace), orientation)
    dpi = image.info.get("dpi")
    dpi = (float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 else None
    if dpi and swaps_sides(orientation):
        dpi = dpi[::-1]
    block = exif.tobytes().removeprefix(b"Exif\0\0") if exif else None
    metadata = Metadata(exif=block, xmp=image.info.get("xmp"), dpi=dpi)
    if not fits(profile, pixels.shape[2]):
        profile = None
    return Picture(pixels, profile, metadata, image.format, name)


def write(picture: Picture, path: Path, format: Format) -> None:
    """One file at exactly `path`. What the format cannot hold (metadata, mostly) is left out. Raises OutputError."""
    pixels = picture.pixels
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
    if image.mode == "LA" and format.name == "BMP":
        image = image.convert("RGBA")
    options: dict[str, Any] = {}
    if picture.metadata.dpi and format.name == "BMP":
        options["dpi"] = picture.metadata.dpi
    try:
        image.save(path, format.name, **options)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot be written as {format.name} ({error}).") from error


def _in_supported_mode(image: Image.Image, profile: bytes | None, name: str) -> tuple[Image.Image, bytes | None]:
    """L, LA, RGB, RGBA or I;16, and the profile that then holds."""
    mode = image.mode
    if mode == "F":
        raise PictureError(
            f"{name}: 32-bit float pixels are not supported (8 or 16 bit whole numbers). Convert it first."
        )
    if mode == "CMYK":
        return _from_cmyk(image, profile), None
    if mode == "I":
        return image, profile
    if mode.startswith("I;16"):
        return image if mode == "I;16" else image.convert("I;16"), profile
    if mode == "1":
        return image.convert("L"), profile
    if mode in ("P", "PA"):
        return image.convert("RGBA" if mode == "PA" or "transparency" in image.info else "RGB"), profile
    if mode in ("L", "RGB") and "transparency" in image.info:
        return image.convert("LA" if mode == "L" else "RGBA"), profile
    if mode in ("L", "LA", "RGB", "RGBA"):
        return image, profile
    return image.convert({"La": "LA", "RGBa": "RGBA"}.get(mode, "RGB")), None if mode in ("LAB", "HSV") else profile


def _from_cmyk(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except ImageCms.PyCMSError:
            log.warning("the colour profile of a CMYK picture is damaged; its colours are a guess.")
        else:
            if converted is not None:
                return converted
    return image.convert("RGB")


def _fetch(image: Image.Image, workspace: Path | None) -> PixelArray:
    channels = len(image.getbands())
    dtype = np.uint16 if image.mode.startswith("I") else np.uint8
    pixels = allocate((image.height, image.width, channels), dtype, workspace)
    for y in range(0, image.height, ROWS):
        rows = min(ROWS, image.height - y)
        part = np.asarray(image.crop((0, y, image.width, y + rows)))
        if image.mode == "I":
            part = np.clip(part, 0, 65535)
        pixels[y : y + rows] = part.reshape(rows, image.width, channels)
    return pixels


def _maximum(file: Path | io.BytesIO) -> int:
    """The largest sample value that a portable map's header declares."""
    head = file.getvalue()[:512] if isinstance(file, io.BytesIO) else file.open("rb").read(512)
    words = b" ".join(line.partition(b"#")[0] for line in head.split(b"\n")).split()
    return int(words[3]) if len(words) > 3 and words[3].isdigit() else 255
