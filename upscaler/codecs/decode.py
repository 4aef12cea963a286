"""Reads pictures by content: path, bytes, open file, Pillow image, array or tensor in, `Picture` out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, Union, cast

import numpy as np
import PIL.Image

from ..errors import PictureError, first_line
from ..notices import warn
from ..picture import Picture
from ..tiling import Size
from . import camera, pillow, vips
from . import untrusted as untrusted_files
from .connections import call
from .extras import NO_RANGE
from .formats import Format, by_name, by_suffix, sniff

if TYPE_CHECKING:
    import torch

Source: TypeAlias = Union[
    str, "os.PathLike[str]", bytes, BinaryIO, Picture, PIL.Image.Image, "np.ndarray[Any, Any]", "torch.Tensor"
]
"""Everything that can be read as a picture; `Picture.from_array` and `Picture.from_tensor` say which arrays can."""

LARGEST = 512_000_000
"""Pixels above which a source counts as a decompression bomb, unless the caller allows more."""

HEAD = 64


def decode(
    source: Source,
    *,
    accept_damaged: bool = False,
    max_pixels: int = LARGEST,
    workspace: Path | None = None,
    name: str | None = None,
    untrusted: bool = False,
) -> Picture:
    """Reads a source as an upright picture: CMYK and Lab become sRGB, everything else stays as it is.

    A truncated or damaged file raises PictureError unless `accept_damaged`: then what could be read is used. A picture
    of more than `max_pixels` raises PictureError too. Large pictures are kept in a file in `workspace`. An `untrusted`
    file, or its content, is read in a process of its own; see `untrusted.decode`.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, PIL.Image.Image):
        if 0 in source.size:
            raise PictureError(f"{name or 'image'}: {source.width}x{source.height} is not the size of a picture.")
        return pillow.convert(source, name or "image", workspace)
    if isinstance(source, np.ndarray):
        return Picture.from_array(source, name or "array")
    if callable(getattr(source, "read", None)):
        source, name = _read_all(source, name or "file")
    if isinstance(source, (str, os.PathLike, bytes)):
        name = name or ("picture" if isinstance(source, bytes) else os.fsdecode(source))
        read = untrusted_files.decode if untrusted else read_source
        return read(source, name, accept_damaged, max_pixels, workspace)
    if type(source).__module__.partition(".")[0] == "torch":
        return Picture.from_tensor(cast("torch.Tensor", source), name or "tensor")
    raise PictureError(
        f"{type(source).__name__}: not a picture. Pass a path, bytes, an open file, a Pillow image, a "
        "numpy array or a torch tensor."
    )


def _read_all(file: Any, name: str) -> tuple[bytes, str]:
    """Returns the content of an open file from where it stands, and its name, if it has one, or else `name`."""
    if isinstance(own := getattr(file, "name", None), str):
        name = own
    try:
        content = file.read()
    except (OSError, ValueError) as error:
        raise PictureError(f"{name}: cannot be read ({first_line(error)}).") from error
    if not isinstance(content, bytes):
        raise PictureError(f"{name}: it is open as text. Open it in binary mode, as with open(name, 'rb').")
    return content, name


def looks_like_picture(path: Path) -> bool:
    """Returns whether a file is a picture by its content, or else by its suffix; True for one that cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return True
    return (sniff(head) or by_suffix(path.suffix)) is not None


def read_source(
    source: str | os.PathLike[str] | bytes,
    name: str,
    accept_damaged: bool,
    max_pixels: int,
    workspace: Path | None,
    is_trusted: bool = True,
) -> Picture:
    """Reads a file, or its content, as `decode` does; without `is_trusted` only by decoders that libvips calls safe."""
    file: Path | bytes
    if isinstance(source, bytes):
        head, file = source[:HEAD], source
    else:
        if "\0" in os.fsdecode(source):
            raise PictureError(f"{os.fsdecode(source)!r}: no file has such a name.")
        file = Path(source)
        try:
            with file.open("rb") as opened:
                head = opened.read(HEAD)
        except IsADirectoryError as error:
            raise PictureError(f"{name}: this is a folder, not a picture.") from error
        except FileNotFoundError as error:
            raise PictureError(f"{name}: no such file.") from error
        except OSError as error:
            raise PictureError(f"{name}: cannot be read ({error.strerror}).") from error
    if not head:
        raise PictureError(f"{name}: the file is empty.")
    format = find_format(file, head, Path(name).suffix)
    if format is None or (format.has_signature and not sniff(head)):
        expected = f", though its name says {format.name}" if format else ""
        raise PictureError(f"{name}: not a picture in any known format{expected}.")

    if format.is_document:
        raise PictureError(f"{name}: it holds pages, and is no single picture. Write it to a file of its own kind.")
    if not is_trusted and (not format.is_safe or format.pillow_is_better(head)):
        raise PictureError(
            f"{name}: {format.name} is not read from strangers, only {', '.join(untrusted_files.SAFE)}. Convert it "
            "first, or leave out `untrusted` if you trust the picture."
        )

    def check(size: Size) -> None:
        if size.pixels > max_pixels:
            raise PictureError(
                f"{name}: {size} is {-(-size.pixels // 10**6):,} megapixels, over the limit of "
                f"{max_pixels / 1e6:,.0f}. If you trust the picture, {advice}."
            )

    advice = "raise `max_pixels`" if is_trusted else "leave out `untrusted`"
    reader = "pillow" if format.pillow_is_better(head) else format.reader
    read = {"vips": vips.read, "pillow": pillow.read, "rawpy": camera.read}[reader]
    try:
        picture = read(file, format, name, accept_damaged, check, workspace)
    except vips.UnknownKindError as error:
        if not is_trusted:
            raise
        try:
            picture = pillow.read(file, format, name, accept_damaged, check, workspace)
        except PictureError:
            raise error from None
    has_gain_map = picture.metadata.gain_map is not None
    for words in call(format.find_extras, file):
        if not (words == NO_RANGE and has_gain_map):
            warn("%s: %s", name, words)
    return picture


def find_format(file: Path | bytes, head: bytes, suffix: str) -> Format | None:
    """Returns the format of a file by its content, or else by its suffix; that of cameras' raw files also where these
    look like a TIFF and only their suffix or what stands further down says what they are."""
    found, named, raw = sniff(head), by_suffix(suffix), by_name("RAW")
    if found is not None and found.is_raw is not None:
        return raw if named is raw or call(found.is_raw, file) else found
    return found or named
