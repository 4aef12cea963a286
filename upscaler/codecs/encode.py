"""Writes pictures: whole or not at all, in the format that was asked for."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..arrays import to_float
from ..errors import OutputError
from ..picture import Metadata, Picture, allocate
from ..tiling import Size
from . import pillow, vips
from .formats import FORMATS, Format, by_suffix
from .profiles import to_srgb

log = logging.getLogger("upscaler")

STRIP_ROWS = 256


@dataclass(frozen=True, slots=True)
class Output:
    """Where a picture goes and how it is written."""

    path: Path
    format: Format | None = None
    """None: by the path's suffix."""
    quality: int | None = None
    """1..100 for JPEG, WebP and AVIF; None: 95, 90 and 80."""
    lossless: bool = False
    """For WebP and AVIF; PNG and TIFF always are."""
    compression: int | None = None
    """0..9 for PNG and TIFF; None: 3 and 6."""
    strip: bool = False
    """Leave out EXIF, XMP, IPTC, resolution and texts. The colour profile stays: it says what the numbers mean."""
    overwrite: bool = False

    def resolved(self) -> Format:
        """The format that will be written. Raises OutputError when none can."""
        format = self.format or by_suffix(self.path.suffix)
        if format is None or format.writer is None:
            known = ", ".join(f.suffixes[0] for f in FORMATS if f.writer)
            what = f"{format.name} cannot be written" if format else f"no format is known for {self.path.suffix!r}"
            raise OutputError(f"{self.path}: {what}. Choose one of {known}.")
        return format


def check(output: Output, size: Size) -> None:
    """Raises OutputError if a picture of `size` could not be written there: worth knowing before it is computed."""
    format = output.resolved()
    if output.path.is_dir():
        raise OutputError(f"{output.path}: is a folder.")
    if max(size.width, size.height) > format.largest_side:
        raise OutputError(
            f"{output.path}: {size} is too large for {format.name}, which holds {format.largest_side} pixels a side. "
            "Choose .png or .tif."
        )
    if output.lossless and format.name == "JPEG":
        raise OutputError(
            f"{output.path}: JPEG is never lossless. Choose .png, .webp or .tif, or leave out --lossless."
        )
    if not output.overwrite and output.path.exists():
        raise OutputError(f"{output.path}: exists already. Use --overwrite to replace it.")


def encode(picture: Picture, output: Output) -> None:
    """Writes one file. It appears under its name when it is complete, and not before.

    Raises OutputError when it exists and `overwrite` is not set, when the format cannot hold it, when writing fails.
    """
    place(encode_part(picture, output, output.path.parent), output)


def encode_part(picture: Picture, output: Output, folder: Path) -> Path:
    """Writes one file under a name of its own in `folder`: complete, on the disk, the caller's to `place` or delete.

    Raises OutputError as `encode` does; then nothing is left.
    """
    check(output, picture.size)
    final = output.path
    part = folder / f".{final.name[:40]}.{secrets.token_hex(4)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
    except FileExistsError as error:
        raise OutputError(f"{final}: cannot be written ({folder} is a file).") from error
    except OSError as error:
        raise OutputError(f"{final}: cannot be written ({error.strerror}).") from error
    try:
        with _named(final):
            _write(picture, part, output)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return part


def place(part: Path, output: Output) -> None:
    """Gives a complete file its name; the part is gone afterwards, whatever happens. Raises OutputError."""
    try:
        with _named(output.path):
            output.path.parent.mkdir(parents=True, exist_ok=True)
            _take_name(part, output.path, output.overwrite)
    finally:
        part.unlink(missing_ok=True)


def encode_stream(picture: Picture, stream: BinaryIO, output: Output) -> None:
    """Writes to a stream that need not be seekable; of `output`, the path is not used."""
    with tempfile.TemporaryDirectory(prefix="upscaler-") as folder:
        path = Path(folder, "picture")
        try:
            _write(picture, path, output)
        except OutputError as error:
            raise OutputError(f"{output.path}: {error}") from error
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror}).") from error
        with path.open("rb") as file:
            shutil.copyfileobj(file, stream)
    stream.flush()


def _write(picture: Picture, path: Path, output: Output) -> None:
    format = output.resolved()
    picture = _fitted(picture, format, path.parent)
    metadata = Metadata() if output.strip else _held(picture.metadata.put_right(picture.size), format, picture.name)
    picture = replace(picture, metadata=metadata)
    if format.writer == "vips":
        quality = output.quality or format.quality or 0
        vips.write(picture, path, format, quality, output.lossless, output.compression)
    else:
        pillow.write(picture, path, format)


@contextmanager
def _named(final: Path) -> Iterator[None]:
    """Whatever fails inside is said of the file as it will be called."""
    try:
        yield
    except FileExistsError as error:
        raise OutputError(f"{final}: cannot be written ({final.parent} is a file).") from error
    except OutputError as error:
        raise OutputError(f"{final}: {error}") from error
    except OSError as error:
        raise OutputError(f"{final}: cannot be written ({error.strerror}).") from error


def _take_name(temporary: Path, final: Path, overwrite: bool) -> None:
    """Renames; without `overwrite` in a way that never replaces a file which appeared meanwhile."""
    if overwrite:
        temporary.replace(final)
        return
    try:
        os.link(temporary, final)
    except FileExistsError as error:
        raise OutputError("exists already. Use --overwrite to replace it.") from error
    except OSError:  # a file system without hard links
        if final.exists():
            raise OutputError("exists already. Use --overwrite to replace it.") from None
        temporary.replace(final)


def _held(metadata: Metadata, format: Format, name: str) -> Metadata:
    """What of it the format has a place for."""
    present = {field.name: getattr(metadata, field.name) for field in fields(Metadata)}
    lost = [field for field, value in present.items() if value and field not in format.metadata]
    if lost:
        log.info("%s: %s has no place for %s; left out.", name, format.name, ", ".join(lost))
    return Metadata(**{field: value for field, value in present.items() if field not in lost})


def _fitted(picture: Picture, format: Format, workspace: Path) -> Picture:
    """As the format can hold it: colours as sRGB where it has no place for their profile, transparency on white, 16
    bits rounded to 8."""
    grey_profile = picture.profile is not None and picture.profile[16:20] == b"GRAY"
    if picture.profile is not None and (not format.profile or (grey_profile and not format.grey)):
        log.info("%s: %s cannot hold its colour profile; colours are converted to sRGB.", picture.name, format.name)
        picture = to_srgb(picture, workspace)
    flatten = picture.has_alpha and not format.alpha
    reduce = picture.depth == 16 and not format.sixteen
    if not (flatten or reduce):
        return picture
    if flatten:
        log.warning("%s: %s has no transparency; the picture is laid on white.", picture.name, format.name)
    height, width, channels = picture.pixels.shape
    channels -= flatten
    dtype = np.uint8 if reduce else picture.pixels.dtype
    pixels = allocate((height, width, channels), dtype, workspace)
    for y in range(0, height, STRIP_ROWS):
        rows = to_float(picture.pixels[y : y + STRIP_ROWS])
        if flatten:
            rows = rows[:, :, :-1] * rows[:, :, -1:] + (1 - rows[:, :, -1:])
        pixels[y : y + STRIP_ROWS] = np.rint(rows * np.iinfo(dtype).max)
    return replace(picture, pixels=pixels)
