"""Reads and writes through Pillow what libvips' wheel lacks: BMP, TGA, PPM, JPEG 2000, ICO, PSD …"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin, UnidentifiedImageError

from ..arrays import PixelArray
from ..errors import OutputError, PictureError, UpscalerError, first_line
from ..notices import warn
from ..picture import Metadata, Picture, allocate, strips
from ..tiling import Size
from . import deep, resolution, tiff_exif
from .connections import call
from .formats import Format
from .named_colours import builtin
from .orientation import turn_upright
from .profiles import fit

ORIENTATION, BITS = 0x0112, 0x0102
IPTC_RESOURCE = 0x0404
_settings = threading.Lock()
"""Guards Pillow's process-wide limits and Python's warnings, which are changed while a file is read."""


class _Unnumbered(io.BufferedRandom):
    """A file whose number Pillow does not learn, since it writes to numbers without looking at how much was written: on
    a full disk files were cut short."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation


def read(
    file: Path | bytes,
    format: Format,
    name: str,
    accept_damaged: bool,
    check: Callable[[Size], None],
    workspace: Path | None,
) -> Picture:
    """Reads the first frame, upright. `check` is called with the size before any pixel is decoded.

    Raises PictureError when Pillow cannot read it to the end.
    """
    with reading(format, name, accept_damaged), _open(file, format) as image:
        check(Size(*image.size))
        frames = int(getattr(image, "n_frames", 1))
        if frames == 1 and getattr(image, "is_animated", False):
            warn("%s: there are several frames; the first is used.", name)
        if frames > 1 and format.has_frames:
            warn("%s: there are %d frames or pages; the first is used.", name, frames)
        picture = complete(load(image, name, workspace, format.turns_itself), file, format, name)
    return replace(picture, format=format.name, name=name)


@contextmanager
def reading(format: Format, name: str, accept_damaged: bool) -> Iterator[None]:
    """Sets Pillow up for files of a format inside the context, one at a time, and turns what it raises there into
    PictureError."""
    if not format.is_ready():
        raise PictureError(f"{name}: {format.advice}")
    with _settings, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, truncated = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        by_libtiff = TiffImagePlugin.READ_LIBTIFF
        TiffImagePlugin.READ_LIBTIFF = True  # Pillow's own decoder mistakes 16-bit tiles of separate planes
        # Pillow refuses more than twice the limit it is given.
        Image.MAX_IMAGE_PIXELS = None if format.largest_pixels is None else format.largest_pixels // 2
        ImageFile.LOAD_TRUNCATED_IMAGES = accept_damaged and format.reads_truncated
        try:
            yield
        except UpscalerError:
            raise
        except UnidentifiedImageError as error:
            what = f"cannot be read as {format.name}; it is damaged, or of a kind that is not supported"
            raise PictureError(f"{name}: {what}. Convert it first.") from error
        except Exception as error:
            if first_line(error).lower().startswith("unsupported"):
                what = f"it is of a kind that is not supported ({first_line(error)}). Convert it first."
                raise PictureError(f"{name}: {what}") from error
            rest = "; nothing of it can be read." if accept_damaged else ". `accept_damaged` uses what can be read."
            raise PictureError(f"{name}: the file is damaged ({first_line(error)}){rest}") from error
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = limit, truncated
            TiffImagePlugin.READ_LIBTIFF = by_libtiff


def _open(file: Path | bytes, format: Format) -> Image.Image:
    try:
        return Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=[format.name])
    except OSError:
        image = format.open_otherwise(deep.read_content(file))
        if image is None:
            raise
        return image


def convert(image: Image.Image, name: str, workspace: Path | None = None) -> Picture:
    """Converts a Pillow image of any mode to an upright picture, with its profile, EXIF, XMP, IPTC and resolution.

    Raises PictureError for floating-point pixels or 32-bit whole numbers, and when the image cannot be loaded.
    """
    try:
        return load(image, name, workspace)
    except UpscalerError:
        raise
    except Exception as error:
        raise PictureError(f"{name}: the image cannot be read ({first_line(error)}).") from error


def write(picture: Picture, path: Path, format: Format, options: dict[str, Any]) -> None:
    """Writes one file at exactly `path`; `options` are those of Pillow's writer. Raises OutputError.

    Metadata and profile are written where the format's row has them.
    """
    pixels = picture.pixels
    if "dpi" in format.metadata:
        options = {**options, "dpi": picture.metadata.dpi or (0, 0)}  # else Pillow states one of its own
    blocks: dict[str, Any] = {
        name: getattr(picture.metadata, name) for name in ("exif", "xmp") if name in format.metadata
    }
    blocks["icc_profile"] = picture.profile if format.writes_profile else None
    options = {**options, **{name: block for name, block in blocks.items() if block}}
    try:
        if picture.depth == 16 and format.write_deep is not None:
            format.write_deep(pixels, path)
        else:
            image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
            if pixels.shape[2] <= 2 and not format.writes_grey:
                image = image.convert("RGB" if pixels.shape[2] == 1 else "RGBA")
            if format.is_written_in_memory:
                content = io.BytesIO()
                image.save(content, format.name, **options)
                path.write_bytes(content.getbuffer())
            else:
                with _Unnumbered(path.open("wb+", buffering=0)) as target:
                    image.save(target, format.name, **options)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise OutputError(f"cannot be written as {format.name} ({reason}).") from error


def load(image: Image.Image, name: str, workspace: Path | None, is_upright: bool = False) -> Picture:
    """Does the same as `convert`, and leaves exceptions as they are."""
    image.load()  # first: it turns a TIFF upright
    if _bits(image) > 8 and not image.mode.startswith(("I", "F")):
        warn("%s: it is read with 8 bits a sample.", name)
    profile = image.info.get("icc_profile")
    orientation = 1 if is_upright else image.getexif().get(ORIENTATION, 1)
    metadata = _metadata(image)
    image, profile = _convert_mode(image, profile, name)
    pixels = _fetch(image, name, workspace)
    profile = fit(profile, pixels.shape[2], name)
    return turn_upright(Picture(pixels, profile, metadata, image.format, name), orientation)


def _metadata(image: Image.Image) -> Metadata:
    """Returns the EXIF block as it was read, or the tags that Pillow knows; without a TIFF's own structure."""
    exif = image.info.get("exif") or (image.getexif().tobytes() if image.getexif() else None)
    exif = exif and exif.removeprefix(b"Exif\0\0")
    if image.format == "TIFF" and exif is not None:
        directory = tiff_exif.read(io.BytesIO(exif))
        directory.pop(tiff_exif.IPTC, None)
        exif = tiff_exif.make_block(directory) if directory else None
    xmp, resources = image.info.get("xmp"), image.info.get("photoshop")
    dpi = image.info.get("dpi")
    return Metadata(
        exif,
        xmp.encode() if isinstance(xmp, str) else xmp,
        resources.get(IPTC_RESOURCE) if isinstance(resources, dict) else None,
        resolution.usable(float(dpi[0]), float(dpi[1])) if dpi else None,
    )


def complete(picture: Picture, file: Path | bytes, format: Format, name: str) -> Picture:
    """Adds the parts of a file that Pillow does not read: the profile, and samples of more than 8 bits. Takes off an
    alpha channel that is none."""
    if format.find_colours is not None:
        named, words = call(format.find_colours, file)
        if words is not None:
            warn("%s: %s", name, words)
        profile = picture.profile or fit(named, picture.pixels.shape[2], name)
        picture = replace(picture, profile=profile)
    if picture.has_alpha:
        alpha = picture.pixels[:, :, -1]
        reason = call(lambda opened: format.reason_against_alpha(opened, alpha), file)
        if reason is not None:
            warn("%s: a channel that is no transparency is left out: %s.", name, reason)
            picture = replace(picture, pixels=picture.colour)
    try:
        pixels = None if format.deep is None else format.deep.read(file, picture.pixels.shape)
    except ValueError:
        warn("%s: it is read with 8 bits a sample.", picture.name)
        return picture
    return picture if pixels is None else replace(picture, pixels=pixels)


def _convert_mode(image: Image.Image, profile: bytes | None, name: str) -> tuple[Image.Image, bytes | None]:
    """Converts to L, LA, RGB, RGBA, I or I;16, and returns the profile that the result still has."""
    mode = image.mode
    if mode == "F":
        raise PictureError(
            f"{name}: 32-bit float pixels are not supported (8 or 16 bit whole numbers). Convert it first."
        )
    if mode in ("CMYK", "LAB"):
        return _convert_to_srgb(image, profile, name), None
    if mode in ("L", "P", "RGB") and image.has_transparency_data:
        return image.convert("LA" if mode == "L" else "RGBA"), profile
    if mode in ("L", "LA", "RGB", "RGBA", "I", "I;16"):
        return image, profile
    others = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}
    other = "I" if mode.startswith("I;16") else others.get(mode, "RGB")
    return image.convert(other), None if mode == "HSV" else profile


def _convert_to_srgb(image: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    """Converts CMYK and Lab to sRGB by the image's own profile, or a common one."""
    to_srgb = ImageCms.createProfile("sRGB")
    common: Any = ImageCms.createProfile("LAB") if image.mode == "LAB" else io.BytesIO(builtin("cmyk"))
    own: Any = io.BytesIO(profile) if profile and image.mode == "CMYK" else common
    try:
        converted = ImageCms.profileToProfile(image, own, to_srgb, ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB")
    except ImageCms.PyCMSError:
        warn("%s: its colour profile is damaged; a common one is used.", name)
        converted = ImageCms.profileToProfile(image, common, to_srgb, ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB")
    assert converted is not None  # it is not done in place
    return converted


def _bits(image: Image.Image) -> int:
    """Returns the bits of a sample that a TIFF or JPEG XL file states; 8 for others."""
    stated: tuple[int, ...] = getattr(image, "tag_v2", {}).get(BITS, (image.info.get("bits_per_sample", 8),))
    return max(stated)


def _fetch(image: Image.Image, name: str, workspace: Path | None) -> PixelArray:
    channels = len(image.getbands())
    dtype = np.uint16 if image.mode.startswith("I") else np.uint8
    pixels = allocate((image.height, image.width, channels), dtype, workspace)
    bits = _bits(image) if image.mode == "I;16" and 8 < _bits(image) < 16 else 16
    for strip in strips(image.height):
        part = np.asarray(image.crop((0, strip.start, image.width, strip.stop)))
        if image.mode == "I" and not 0 <= part.min() <= part.max() <= 65535:
            raise PictureError(f"{name}: 32-bit whole numbers are not supported (8 or 16 bit). Convert it first.")
        scaled = part if bits == 16 else np.rint(part * (65535 / (2**bits - 1)))
        pixels[strip] = scaled.reshape(-1, image.width, channels)
    return pixels
