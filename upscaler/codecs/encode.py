"""Writes pictures in the format that is asked for: whole, or not at all."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from ..arrays import to_float
from ..errors import OutputError, PlanError
from ..files import make_part, obstacle
from ..files import place as place_file
from ..notices import warn
from ..picture import Metadata, Picture, allocate, strips
from ..tiling import Size
from ..validation import check_arguments, check_whole
from . import pillow, vips
from .extras import NO_RANGE
from .formats import Format, by_name, by_suffix, choices, writable
from .profiles import to_srgb

log = logging.getLogger("upscaler")

LOWEST_QUALITY = 20
"""The quality below which no picture is written for its size alone: blocks and smears are all that is seen of it."""

EXISTS = "exists already. Use `overwrite` to replace it."


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """The options with which a picture is written, to a file or a stream. Raises PlanError for what none can be."""

    format: Format | None = None
    """None: the format of the file's suffix."""
    quality: int | None = None
    """1..100 for lossy formats; None: the format's own default."""
    lossless: bool = False
    """Whether formats that can be either are written without loss. JPEG, which never is, refuses; others ignore it."""
    compression: int | None = None
    """0..9, from none to the smallest file, for PNG and TIFF; None: 3 and 6."""
    max_size: int | None = None
    """Bytes of the file at most: it gets the best quality that fits, and no better one than `quality` if that is given.
    Formats without a quality refuse."""
    strip: bool = False
    """Whether EXIF, XMP, IPTC, resolution and texts are left out. The colour profile stays: colours depend on it."""
    overwrite: bool = False
    """Whether a file that exists already may be replaced."""
    all_frames: bool = False
    """Whether a job makes every frame of an animation and every page of a document, not the first alone."""

    def __post_init__(self) -> None:
        if self.format is not None and not isinstance(self.format, Format):
            raise PlanError("this is not a Format. Leave it out: the suffix decides.", argument="format")
        if self.max_size is not None and self.all_frames:
            raise PlanError("`max_size` and `all_frames`: only single pictures are fitted. Leave out one of them.")
        check_arguments(
            self, quality=check_whole(1, 100), compression=check_whole(0, 9), max_size=check_whole(1, 2**60)
        )

    def format_for(self, path: Path) -> Format:
        """Returns the format in which a file of that name is written. Raises OutputError when there is none."""
        format = self.format or by_suffix(path.suffix)
        if format is None or not format.is_written(self.all_frames):
            known = ", ".join(f.suffixes[0] for f in choices(self.all_frames))
            what = f"{format.name} cannot be written" if format else f"no format is known for {path.suffix!r}"
            raise OutputError(f"{path}: {what}. Choose one of {known}.")
        return format

    def check_single(self, path: Path, source: str) -> None:
        """Raises OutputError if the format of `path` is only written with several frames or pages, and `source` is one
        picture."""
        format = self.format_for(path)
        if format.writer is None:
            raise OutputError(f"{path}: {source} is one picture, and {format.name} is only written of several.")

    def settings(self, path: Path) -> dict[str, Any]:
        """Returns the options that decide the content of a file, for JSON. Raises OutputError as `format_for` does."""
        names = [field.name for field in fields(self) if field.name not in ("overwrite", "all_frames")]
        all_frames = {"all_frames": True} if self.all_frames else {}
        return {**{name: getattr(self, name) for name in names}, **all_frames, "format": self.format_for(path).name}


DEFAULT_OPTIONS: Final = EncodeOptions()


def check(path: Path, options: EncodeOptions, size: Size) -> None:
    """Raises OutputError if a picture of `size` could not be written to `path`; this is checked before computing it."""
    if "\0" in str(path):
        raise OutputError(f"{str(path)!r}: no file has such a name.")
    format = options.format_for(path)
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder. Name a file.")
    if what := obstacle(path):
        raise OutputError(f"{path}: this is {what}, not a file. Name a file.")
    check_format(format, options, size, str(path))
    if not options.overwrite and path.exists():
        raise OutputError(f"{path}: {EXISTS}")


def check_format(format: Format, options: EncodeOptions, size: Size, name: str) -> None:
    """Raises OutputError, beginning with `name`, if the format cannot hold a picture of `size` with these options."""
    if not format.is_ready():
        raise OutputError(f"{name}: {format.advice}")
    if max(size.width, size.height) > format.largest_side:
        raise OutputError(
            f"{name}: {size} is too large for {format.name}, which holds {format.largest_side} pixels a side. "
            "Choose .png or .tif."
        )
    if options.lossless and not format.can_be_lossless:
        raise OutputError(
            f"{name}: {format.name} is never lossless. Choose .png, .webp or .tif, or leave out `lossless`."
        )
    if options.max_size is not None and (format.quality is None or options.lossless):
        reason = f"{format.name} has no quality" if format.quality is None else "what is lossless has no quality"
        raise OutputError(
            f"{name}: {reason} to lower for its size. Choose .jpg, .webp or .avif, or leave out `max_size`."
        )


def encode(picture: Picture, path: Path, options: EncodeOptions = DEFAULT_OPTIONS) -> None:
    """Writes one file. It appears under its name when it is complete, and not before.

    Raises OutputError when it exists and `options` do not allow to replace it, when the format cannot hold the picture,
    and when writing fails.
    """
    place(encode_part(picture, path, options, path.parent), path, options.overwrite)


def encode_part(picture: Picture, path: Path, options: EncodeOptions, folder: Path) -> Path:
    """Writes the file that will be `path` under a temporary name in `folder`; the caller must `place` or delete it.

    The returned file is complete and on the disk. Raises OutputError as `encode` does; then nothing is left.
    """
    check(path, options, picture.size)
    options.check_single(path, "this")
    return write_part(path, folder, lambda part: write(picture, part, options.format_for(path), options))


def write_part(path: Path, folder: Path, write: Callable[[Path], None]) -> Path:
    """Calls `write` with a temporary name in `folder`; else the same as `encode_part`, for a file of any kind."""
    with _errors_about(path):
        try:
            part = make_part(path, folder)
        except FileExistsError as error:
            raise OutputError(f"cannot be written ({folder} is a file).") from error
        try:
            write(part)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return part


def place(part: Path, path: Path, overwrite: bool = False) -> None:
    """Renames a complete file to `path`; `part` is gone afterwards, whatever happens.

    Raises OutputError when it fails, and without `overwrite` when `path` exists, even if it has just appeared.
    """
    try:
        with _errors_about(path):
            place_file(part, path, overwrite)
    except OutputError as error:
        if isinstance(error.__cause__, FileExistsError) and os.path.lexists(path):
            raise OutputError(f"{path}: {EXISTS}") from error
        raise


def encode_stream(
    picture: Picture, stream: BinaryIO, options: EncodeOptions = DEFAULT_OPTIONS, name: str = "stream"
) -> None:
    """Writes to a stream that need not be seekable.

    Without a format in `options` it is the picture's own if it can be written, else PNG: see `format_for_stream`.
    Raises OutputError, which begins with `name`, and what the stream raises.
    """
    format = format_for_stream(picture, options)
    check_format(format, options, picture.size, name)
    with tempfile.TemporaryDirectory(prefix="upscaler-") as folder:
        path = Path(folder, "picture")
        try:
            write(picture, path, format, options)
        except OutputError as error:
            raise OutputError(f"{name}: {error}") from error
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror}).") from error
        with path.open("rb") as file:
            shutil.copyfileobj(file, stream)
    stream.flush()


def format_for_stream(picture: Picture, options: EncodeOptions) -> Format:
    """Returns the format for a picture without a file name: its own if it can be written, else PNG."""
    return options.format or writable(by_name(picture.format or ""))


def write(picture: Picture, path: Path, format: Format, options: EncodeOptions) -> None:
    """Writes a picture at exactly `path`, without any check. Raises OutputError and OSError."""
    picture = _convert_for(format, picture, options, path.parent)
    metadata = _metadata_for(format, picture)
    if options.strip:
        metadata = Metadata(gain_map=metadata.gain_map)  # as the profile, it is part of how the picture looks
    picture = replace(picture, metadata=metadata)
    writer = vips.write if format.writer == "vips" else pillow.write

    def write_with(quality: int) -> int:
        writer(picture, path, format, format.options(picture, options, quality))
        return path.stat().st_size

    if options.max_size is None:
        write_with(options.quality or format.quality or 0)
    else:
        _write_within(options.max_size, options.quality or 100, write_with)


def _write_within(most: int, best: int, write: Callable[[int], int]) -> None:
    """Writes a file with the best quality up to `best` with which it has `most` bytes at most. `write` writes it with a
    quality, in place of what it wrote before, and returns its size. Raises OutputError when none is small enough."""
    if write(best) <= most:
        return
    fits = last = min(LOWEST_QUALITY, best)
    if (size := write(fits)) > most:
        raise OutputError(
            f"even with quality {fits} it takes {size:,} bytes, and may take {most:,}. Allow more with `max_size`, or "
            "make the picture smaller."
        )
    while best - fits > 1:
        last = (fits + best) // 2
        if write(last) <= most:
            fits = last
        else:
            best = last
    if last != fits:
        write(fits)
    log.info("quality %d is the best with which it takes no more than %s bytes.", fits, f"{most:,}")


@contextmanager
def _errors_about(final: Path) -> Iterator[None]:
    """Turns errors inside the context into OutputErrors that begin with the file's final name."""
    try:
        yield
    except FileExistsError as error:
        raise OutputError(f"{final}: cannot be written ({final.parent} is a file).") from error
    except OutputError as error:
        raise OutputError(f"{final}: {error}") from error
    except OSError as error:
        raise OutputError(f"{final}: cannot be written ({error.strerror}).") from error


def _metadata_for(format: Format, picture: Picture) -> Metadata:
    """Returns the metadata that the format has a place for, corrected for the size of the picture."""
    metadata = picture.metadata.correct(picture.size)
    present = {field.name: getattr(metadata, field.name) for field in fields(Metadata)}
    if metadata.gain_map is not None and ("gain_map" not in format.metadata or picture.pixels.shape[2] < 3):
        warn("%s: %s", picture.name, NO_RANGE)
        present["gain_map"] = None
    lost = [field for field, value in present.items() if value and field not in {*format.metadata, "size"}]
    if lost:
        log.info("%s: %s has no place for %s; left out.", picture.name, format.name, ", ".join(lost))
    return Metadata(**{field: value for field, value in present.items() if field not in lost})


def _convert_for(format: Format, picture: Picture, options: EncodeOptions, workspace: Path) -> Picture:
    """Converts a picture to what the format can hold: colours to sRGB where it has no place for their profile,
    transparency to white, 16 bits to 8."""
    grey_profile = picture.profile is not None and picture.profile[16:20] == b"GRAY"
    if picture.profile is not None and (not format.writes_profile or (grey_profile and not format.writes_grey)):
        log.info("%s: %s cannot hold its colour profile; colours are converted to sRGB.", picture.name, format.name)
        picture = to_srgb(picture, workspace)
    flatten = picture.has_alpha and not format.writes_alpha
    reduce = picture.depth == 16 and not format.writes_16_bits
    if not (flatten or reduce):
        return picture
    if flatten and picture.pixels[:, :, -1].min() < np.iinfo(picture.pixels.dtype).max:
        warn("%s: %s has no transparency; the picture is laid on white.", picture.name, format.name)
    if reduce and options.lossless:
        warn("%s: %s holds 8 bits a sample; the 16 of the picture are rounded.", picture.name, format.name)
    height, width, channels = picture.pixels.shape
    dtype = np.uint8 if reduce else picture.pixels.dtype
    pixels = allocate((height, width, channels - flatten), dtype, workspace)
    for strip in strips(height):
        rows = to_float(picture.pixels[strip])
        if flatten:
            rows = rows[:, :, :-1] * rows[:, :, -1:] + (1 - rows[:, :, -1:])
        pixels[strip] = np.rint(rows * np.iinfo(dtype).max)
    return replace(picture, pixels=pixels)
