"""Reads and writes through libvips: JPEG, PNG, WebP, TIFF, AVIF, HEIF, GIF."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from ..arrays import PixelArray
from ..errors import OutputError, PictureError
from ..files import try_writing
from ..notices import warn
from ..picture import GainMap, Metadata, Picture, allocate, strips
from ..tiling import Size
from . import embed, iptc, resolution
from .connections import call, escape_report, make_image, open_source, open_target
from .deep import read_content
from .extras import has_gain_map
from .formats import Format
from .orientation import turn_upright
from .profiles import fit

logging.getLogger("pyvips").addHandler(logging.NullHandler())  # its exceptions say what matters

MILLIMETRES = 25.4
USUAL_DPI = (72.0, 72.0)
"""What libvips is given if none is stated, since it leaves none out; `embed` takes its unit away."""

HEAD = 2**16
"""Bytes in which the boxes of an AVIF or HEIF file are looked for."""

GAIN_MAP = "gainmap-data"

ALPHA = (1, 2)
"""Kinds of extra samples in TIFF that are transparency, premultiplied or not."""

HARMLESS = ("Invalid SOS parameters", "JFIF revision", "Adobe color transform", "Inconsistent progression")
"""Parts of libjpeg's complaints about files that it nevertheless decodes to the end."""

NOT_BUILT = ("not configured", "not implemented", "not been built in")

STRAY, END = "extraneous bytes before marker", "0xd9"

UNKNOWN_KIND = ("not supported", "bad labq format", "not a whole number of bytes", "required field 262 missing")
"""Parts of libvips' complaints about TIFF files that another reader may know."""

HARMFUL = ("Corrupt JPEG data", "remature end")


class UnknownKindError(PictureError):
    """libvips knows the format of a file, but not this kind of it; another reader may."""


def read(
    file: Path | bytes,
    format: Format,
    name: str,
    accept_damaged: bool,
    check: Callable[[Size], None],
    workspace: Path | None,
) -> Picture:
    """Reads the first frame or page, upright. `check` is called with the size before any pixel is decoded.

    Raises PictureError when libvips cannot read it to the end.
    """
    try:
        try:
            return _read(file, format, name, "none" if accept_damaged else format.fail_on, check, workspace)
        except pyvips.Error as error:
            detail = str(error.detail)
            if STRAY in detail and format.repair is not None:
                repaired, strays = format.repair(read_content(file))
                if strays:
                    warn("%s: there are %d stray bytes in its head; they are passed over.", name, strays)
                    return read(repaired, format, name, accept_damaged, check, workspace)
            corrupt = [line.strip() for line in detail.splitlines() if "Corrupt JPEG data" in line]
            if corrupt and all(line.endswith(f"{STRAY} {END}") for line in corrupt):
                warn("%s: there are stray bytes before its end; they are passed over.", name)
                return _read(file, format, name, "error", check, workspace)
            if not any(text in detail for text in HARMLESS) or any(text in detail for text in HARMFUL):
                raise
            return _read(file, format, name, "error", check, workspace)
    except pyvips.Error as error:
        text = str(error.detail).lower()
        kind = UnknownKindError if any(words in text for words in (*NOT_BUILT, *UNKNOWN_KIND)) else PictureError
        raise kind(f"{name}: {_explain(error, format, accept_damaged)}") from error


def write(picture: Picture, path: Path, format: Format, options: dict[str, Any]) -> None:
    """Writes one file at exactly `path`, overwriting it; `options` are those of libvips' saver. Raises OutputError."""
    across, down = picture.metadata.dpi or USUAL_DPI
    image = make_image(picture.pixels).copy(xres=across / MILLIMETRES, yres=down / MILLIMETRES)
    image.set_type(pyvips.GValue.gstr_type, "resolution-unit", "in")
    space = embed.reserve_exif_space(picture.metadata) if format.embed is embed.fill_exif_space else None
    blobs = {"icc-profile-data": picture.profile, "xmp-data": picture.metadata.xmp, "exif-data": space}
    for field, blob in blobs.items():
        if blob:
            image.set_type(pyvips.GValue.blob_type, field, blob)
    keep = "icc|xmp|exif" if space else "icc|xmp"
    function = format.vips_function
    if picture.metadata.gain_map is not None:
        _set_gain_map(image, picture.metadata.gain_map)
        function, keep, options = format.gain_map_function, f"{keep}|gainmap", {"Q": options["Q"]}
    try:
        # The format is named, so that libvips never takes a file for one of another kind, such as an SVG drawing.
        getattr(image, f"{function}save_target")(open_target(path), keep=keep, **options)
        if b"write error" in pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()):  # libtiff overlooks some
            raise pyvips.Error("not everything was written")
    except pyvips.Error as error:
        try_writing(path.parent)  # libvips' report may have gone to another thread, and may not say what is wrong
        detail = _detail(error)
        raise OutputError(f"cannot be written as {format.name}{detail and f' ({detail})'}.") from error
    if format.embed is not None:
        format.embed(picture.metadata, path)


@escape_report()
def _read(
    file: Path | bytes, format: Format, name: str, fail_on: str, check: Callable[[Size], None], workspace: Path | None
) -> Picture:
    pyvips.vips_lib.vips_error_clear()  # earlier complaints would be taken for the reason of the next error
    if call(format.is_misread, file):
        raise UnknownKindError(f"{name}: its colours are stored in a way that cannot be read. Convert it first.")
    load = getattr(pyvips.Image, f"{format.vips_function}load_source")
    pages = None if format.find_pages is None else call(format.find_pages, file)
    options = {"page": pages[0]} if pages and pages[0] > 0 else {}
    image: pyvips.Image = load(open_source(file), fail_on=fail_on, access="sequential", **options)
    check(Size(image.width, image.height))
    count = int(image.get("n-pages")) if pages is None and image.get_typeof("n-pages") else len(pages or [0])
    if count > 1:
        warn("%s: there are %d frames or pages; the first is used.", name, count)
    metadata = _metadata(image, format, file)
    stated = int(image.get("orientation")) if image.get_typeof("orientation") else None
    if stated is None or (stated == 1 and not call(format.states_orientation, file)):
        stated = format.find_orientation(metadata, read_content(file, HEAD))
    orientation = stated
    gain_map = _read_gain_map(file, format, orientation)
    if format.find_extra_samples is not None:
        image = _without_extra_samples(image, call(format.find_extra_samples, file), name)
    image = _convert(image, name)
    profile = _profile(image, format, file, name)
    quality = None if format.find_quality is None else call(format.find_quality, file)
    metadata = replace(metadata, gain_map=gain_map)
    picture = Picture(_fetch(image, workspace), profile, metadata, format.name, name, quality=quality)
    return turn_upright(picture, orientation)


def _read_gain_map(file: Path | bytes, format: Format, orientation: int) -> GainMap | None:
    """Returns the gain map of a file, upright; None if it has none, or one that libvips does not know."""
    if not format.gain_map_function or not has_gain_map(read_content(file)):
        return None
    try:
        image = getattr(pyvips.Image, f"{format.gain_map_function}load_source")(open_source(file))
        names = [name for name in image.get_fields() if name.startswith("gainmap-")]
        if GAIN_MAP not in names:
            return None
        pixels = np.atleast_3d(pyvips.Image.jpegload_buffer(bytes(image.get(GAIN_MAP))).numpy())
    except pyvips.Error:
        return None
    settings = {name: image.get(name) for name in names if name != GAIN_MAP}
    return GainMap(turn_upright(Picture(pixels), orientation).pixels, settings)


def _set_gain_map(image: pyvips.Image, gain_map: GainMap) -> None:
    """Gives an image its gain map, for libvips to write."""
    kinds = {list: pyvips.GValue.array_double_type, float: pyvips.GValue.gdouble_type, int: pyvips.GValue.gint_type}
    for name, value in gain_map.settings.items():
        image.set_type(kinds[type(value)], name, value)
    content = make_image(gain_map.pixels).jpegsave_buffer(Q=95, keep="none")
    image.set_type(pyvips.GValue.blob_type, GAIN_MAP, content)


def _without_extra_samples(image: pyvips.Image, kinds: list[int], name: str) -> pyvips.Image:
    """Leaves out the channels beyond colour that are no transparency, by their kinds."""
    colours = image.bands - len(kinds)
    alpha = next((colours + index for index, kind in enumerate(kinds) if kind in ALPHA), None)
    lost = len(kinds) - (alpha is not None)
    if lost == 0 or colours < (4 if image.interpretation == "cmyk" else 1):
        return image
    warn("%s: channels that are neither colour nor transparency are left out: %d.", name, lost)
    colour = image.extract_band(0, n=colours)
    return colour if alpha is None else colour.bandjoin(image.extract_band(alpha))


def _blob(image: pyvips.Image, field: str) -> bytes | None:
    return bytes(image.get(field)) if image.get_typeof(field) else None


def _metadata(image: pyvips.Image, format: Format, file: Path | bytes) -> Metadata:
    exif, xmp, resources = (_blob(image, field) for field in ("exif-data", "xmp-data", "iptc-data"))
    exif = exif and exif.removeprefix(b"Exif\0\0")
    metadata = Metadata(exif, xmp, iptc.find_records(resources) if resources else None, _dpi(image, exif))
    if format.find_resolution is not None:
        metadata = replace(metadata, dpi=call(format.find_resolution, file))
    extract = format.extract
    return metadata if extract is None else call(lambda binary: extract(binary, metadata), file)


def _dpi(image: pyvips.Image, exif: bytes | None) -> tuple[float, float] | None:
    """Returns the resolution that libvips reads from JPEG, or that of the EXIF block."""
    if image.get("vips-loader").startswith("jpeg") and image.get_typeof("resolution-unit"):
        return resolution.usable(image.xres * MILLIMETRES, image.yres * MILLIMETRES)
    return resolution.in_tiff(io.BytesIO(exif)) if exif else None


def _convert(image: pyvips.Image, name: str) -> pyvips.Image:
    """Converts to 8 or 16 bits and 1 to 4 bands: CMYK by its own profile or a common one, Lab and the like to sRGB."""
    if image.interpretation == "cmyk":
        options = {"input_profile": "cmyk", "depth": 16 if image.format == "ushort" else 8, "intent": "relative"}
        try:
            image = image.icc_transform("srgb", embedded=True, **options)
        except pyvips.Error:
            warn("%s: its colour profile is damaged; a common one is used.", name)
            image = image.icc_transform("srgb", **options)
    elif image.interpretation in ("lab", "labs", "lch", "xyz", "yxy", "cmc", "hsv", "oklab", "oklch"):
        image = image.colourspace("rgb16" if image.format in ("ushort", "short") else "srgb").copy()
        image.remove("icc-profile-data")
    if image.format not in ("uchar", "ushort"):
        known = {"float": "32-bit float pixels", "double": "64-bit float pixels"}
        other = "32-bit whole numbers" if "int" in image.format else f"pixels of type {image.format}"
        what = known.get(image.format, other)
        raise PictureError(f"{name}: {what} are not supported (8 or 16 bit whole numbers). Convert it first.")
    if image.bands > 4:
        raise PictureError(f"{name}: {image.bands} channels are not supported (1 to 4). Convert it first.")
    return image


def _profile(image: pyvips.Image, format: Format, file: Path | bytes, name: str) -> bytes | None:
    """Returns the profile of the converted pixels."""
    profile = _blob(image, "icc-profile-data")
    if format.find_colours is not None:
        named, words = call(format.find_colours, file)
        profile = profile or named
        if words is not None:
            warn("%s: %s", name, words)
    return fit(profile, image.bands, name)


def _fetch(image: pyvips.Image, workspace: Path | None) -> PixelArray:
    dtype = np.uint16 if image.format == "ushort" else np.uint8
    pixels = allocate((image.height, image.width, image.bands), dtype, workspace)
    bits = int(image.get("bits-per-sample")) if image.get_typeof("heif-compression") else 16
    region = pyvips.Region.new(image)
    for strip in strips(image.height):  # libvips decodes rows as they are asked for
        block: Any = np.frombuffer(region.fetch(0, strip.start, image.width, strip.stop - strip.start), dtype)
        if 8 < bits < 16:  # libvips puts them into the upper bits: white would be short of 65535
            block = block | block >> bits
        pixels[strip] = block.reshape(-1, image.width, image.bands)
    return pixels


def _explain(error: pyvips.Error, format: Format, accept_damaged: bool) -> str:
    detail = _detail(error)
    known = detail.lower()
    if format.missing_decoder and ("hevc" in known or "codec" in known):
        return format.missing_decoder
    if any(words in known for words in NOT_BUILT):
        return f"it is compressed in a way that cannot be read ({detail}). Convert it first."
    if any(words in known for words in UNKNOWN_KIND):
        return f"it is of a kind that cannot be read ({detail}). Convert it first."
    cut = any(word in known for word in ("premature end", "truncated", "unexpected end", "end of file", "bad seek"))
    kind = f"the file is {'cut short' if cut else 'damaged'}{detail and f' ({detail})'}"
    return kind + ("; nothing of it can be read." if accept_damaged else ". `accept_damaged` uses what can be read.")


def _detail(error: pyvips.Error) -> str:
    """Returns the most telling line of libvips' report; empty if there is none."""
    lines = [line.strip() for line in str(error.detail or "").splitlines()]
    telling = [line for line in lines if any(map(str.isalpha, line))]
    blunt = ("bad seek", "target: write error", *HARMLESS)  # the next line says why it cannot be written
    found = next((line for line in telling if not any(word in line for word in blunt)), (telling or [""])[0])
    return found.removeprefix("system error: ").rstrip(".")
