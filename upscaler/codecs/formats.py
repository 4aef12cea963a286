"""The table of formats, which says how each is recognised, which library reads and writes it, and what it can hold.

To add a format, add a row. Only what corrects libraries' reading of JPEG and TIFF is elsewhere: in `vips` and `pillow`.
What a written file keeps of its picture is in `docs/formats.md`, which is generated from here.

The module is longer than others because it is one table.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

from PIL import Image, features

from ..arrays import PixelArray
from ..picture import Metadata, Picture
from . import bitfields, deep, embed, extras, named_colours, orientation, png_texts, quantisation, resolution, tiff_exif
from .named_colours import Colours
from .profiles import find_in_jpeg_2000

if TYPE_CHECKING:
    from .encode import EncodeOptions

Library = Literal["vips", "pillow", "rawpy", "pages"]
"""Those that read single pictures; "pages" stands for documents, which are only read page by page, by `frames`."""


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the table."""

    name: str
    """Its usual name; Pillow's name for it, where Pillow reads or writes it."""
    suffixes: tuple[str, ...]
    """The first is given to new files."""
    recognises: Callable[[bytes], bool]
    """Whether a file's first 64 bytes are of this format."""
    reader: Library = "pillow"
    writer: Literal["vips", "pillow"] | None = None
    """None: it can only be read."""
    result_format: str = "PNG"
    """The format in which its pictures are written by default, if it can only be read."""
    has_signature: bool = True
    """Whether it is recognised by its first bytes; if not, the suffix decides."""
    is_raw: Callable[[BinaryIO], bool] | None = None
    """Whether a file is a camera's raw file, which only begins like one of this format."""

    find_extras: Callable[[BinaryIO], list[str]] = lambda _: []
    """Finds what a file holds beside the picture, and says it in words that follow its name."""

    vips_name: str = ""
    """The name in libvips' functions that load and save it; empty: the usual name in lower case."""
    fail_on: Literal["error", "warning"] = "warning"
    """The mildest of libvips' complaints that makes a file count as damaged."""
    pillow_is_better: Callable[[bytes], bool] = lambda _: False
    """Whether Pillow reads the file with these first 64 bytes, where it has a decoder for what libvips cannot read, or
    reads as something else."""
    missing_decoder: str = ""
    """The end of the error message when libvips lacks the decoder."""
    extract: Callable[[BinaryIO, Metadata], Metadata] | None = None
    """Corrects the metadata that libvips has read, from the file itself."""
    repair: Callable[[bytes], tuple[bytes, int]] | None = None
    """Takes stray bytes out of a whole file that libvips complains of, and counts them."""
    gain_map_function: str = ""
    """The beginning of the names of libvips' functions for files with a gain map; empty: it cannot have one."""
    find_pages: Callable[[BinaryIO], list[int]] | None = None
    """Finds the numbers of the frames or pages that libvips does not count; the first is read."""
    find_orientation: Callable[[Metadata, bytes], int] = lambda metadata, _: orientation.find(metadata)
    """Finds the orientation where libvips reports none, from metadata and the head of the file."""
    states_orientation: Callable[[BinaryIO], bool] = lambda _: True
    """Whether a file that libvips calls upright says so itself."""
    is_misread: Callable[[BinaryIO], bool] = lambda _: False
    """Whether libvips reads a file without complaint, but wrongly; Pillow is asked to read it."""
    find_extra_samples: Callable[[BinaryIO], list[int]] | None = None
    """Finds the kinds of the channels beyond colour, as TIFF numbers them: 1 and 2 are transparency."""
    find_quality: Callable[[BinaryIO], int | None] | None = None
    """Finds out how much a file was compressed; see `Picture.quality`."""
    find_resolution: Callable[[BinaryIO], tuple[float, float] | None] | None = None
    """Finds the resolution that a file states, where libvips does not tell it from none or from mere proportions."""
    find_colours: Callable[[BinaryIO], Colours] | None = None
    """Finds the colours that a file names in place of a profile, or a profile that Pillow does not report."""

    is_ready: Callable[[], bool] = lambda: True
    """Whether the package is installed that Pillow needs for it."""
    advice: str = ""
    """What to install if it is not, as the end of an error message."""
    turns_itself: bool = False
    """Whether Pillow's decoder turns a picture upright, and the orientation in its EXIF says nothing."""
    frames: Literal["animation", "pages"] | None = None
    """What its files with several pictures are, where all of them are read and written if that is asked for: frames
    that are shown one after the other, or pages."""
    has_frames: bool = True
    """Whether the frames that Pillow counts are pictures; if not, they are the layers or sizes of one."""
    largest_pixels: int | None = None
    """Pixels above which Pillow refuses to open it; None: they are counted once it is open."""
    reads_truncated: bool = True
    """Whether Pillow keeps what it has decoded of a file that is cut short."""
    reason_against_alpha: Callable[[BinaryIO, PixelArray], str | None] = lambda *_: None
    """Says why the last channel that Pillow reads, (height, width), is no transparency; None if it is."""
    open_otherwise: Callable[[bytes], Image.Image | None] = lambda _: None
    """Opens a whole file that Pillow cannot; None if this cannot either."""
    deep: deep.Reader | None = None
    """Reads samples of more than 8 bits, which Pillow reduces to 8."""

    options: Callable[[Picture, EncodeOptions, int], dict[str, Any]] = lambda *_: {}
    """The options of libvips' or Pillow's writer for a picture and the quality that is asked for, or the default."""
    embed: Callable[[Metadata, Path], None] | None = None
    """Puts EXIF, IPTC and texts into a file that libvips has written."""
    write_deep: Callable[[PixelArray, Path], None] | None = None
    """Writes 16-bit pixels in place of Pillow."""
    is_written_in_memory: bool = False
    """Whether Pillow's writer gets no file, since it would never end on a full disk."""
    largest_side: int = 2**31 - 1
    writes_alpha: bool = False
    """Whether it is written with transparency."""
    writes_16_bits: bool = False
    """Whether it is written with 16 bits a sample."""
    writes_grey: bool = True
    """Whether it is written with one channel where that is enough."""
    writes_profile: bool = False
    """Whether it is written with a colour profile."""
    metadata: frozenset[str] = frozenset()
    """The fields of `Metadata` that are written."""
    quality: int | None = None
    """Default for lossy writing, 1..100; None when it is lossless."""
    can_be_lossless: bool = True

    def is_written(self, all_frames: bool) -> bool:
        """Returns whether files of it are written; some only with all frames or pages."""
        return self.writer is not None or self.is_document or (all_frames and self.frames is not None)

    @property
    def is_document(self) -> bool:
        """Whether it is only read and written with all its pages."""
        return self.reader == "pages"

    @property
    def is_safe(self) -> bool:
        """Whether its pictures are read even if a stranger has made them: by a decoder that libvips calls safe."""
        return self.reader == "vips"

    @property
    def vips_function(self) -> str:
        """The beginning of the names of libvips' functions for it, "jpeg" of "jpegload_source"."""
        return self.vips_name or self.name.lower()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickles the name alone, since functions cannot be sent; another process takes its own row of that name."""
        return _row, (self.name,)


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


def _has_brand(*brands: bytes) -> Callable[[bytes], bool]:
    """Recognises ISO base media files, in which the major brand and the compatible ones stand at the beginning."""

    def recognises(head: bytes) -> bool:
        end = min(int.from_bytes(head[:4], "big"), len(head))
        found = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
        return head[4:8] == b"ftyp" and not found.isdisjoint(brands)

    return recognises


def _begins_as_raw(head: bytes) -> bool:
    """Recognises cameras' raw files that do not only look like TIFF: Canon's, Fujifilm's, Olympus', Panasonic's …"""
    signatures = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
    inner = head[8:10] == b"CR" or head[6:14] == b"HEAPCCDR" or head[8:12] == b"IIII"
    return head.startswith(signatures) or (inner and head[:2] in (b"II", b"MM")) or _has_brand(b"crx ")(head)


def _is_avif_sequence(head: bytes) -> bool:
    """Returns whether a file is in the first place an animation, of which viewers show the frames, but libvips another
    picture, with a wrong transparency in some files; and whether Pillow can read it."""
    return head[8:12] == b"avis" and bool(features.check("avif"))


def _has_pillow_heif(_: bytes) -> bool:
    """Returns whether pillow-heif is installed, which has the HEVC decoder that libvips' wheel lacks, 8 bits deep."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return False
    return True


def _has_pylibjxl() -> bool:
    """Returns whether pylibjxl is installed, which reads and writes JPEG XL, 8 bits deep, and lets Pillow use it."""
    try:
        importlib.import_module("pylibjxl").register_pillow()
    except ImportError:
        return False
    return True


def _has_pypdfium() -> bool:
    """Returns whether pypdfium2 is installed, which draws the pages of PDF files."""
    return importlib.util.find_spec("pypdfium2") is not None


LARGEST_ICON: Final = 4096 * 4096
"""Pixels. Icons hold whole files, which Pillow decodes when it opens them."""

RAW_SUFFIXES: Final = (
    *(".dng", ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef"),
    *(".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
)

CAMERA: Final = frozenset({"exif", "xmp", "dpi"})

FORMATS: Final[tuple[Format, ...]] = (
    Format(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        _starts(b"\xff\xd8\xff"),
        "vips",
        "vips",
        find_extras=extras.in_jpeg,
        repair=extras.without_stray_bytes,
        gain_map_function="uhdr",
        find_quality=quantisation.find_jpeg_quality,
        options=lambda _, wanted, quality: {"Q": quality, "subsample_mode": "off" if quality >= 90 else "on"},
        embed=embed.into_jpeg,
        largest_side=65500,
        writes_profile=True,
        metadata=CAMERA | {"iptc", "gain_map"},
        quality=95,
        can_be_lossless=False,
    ),
    Format(
        "PNG",
        (".png",),
        _starts(b"\x89PNG\r\n\x1a\n"),
        "vips",
        "vips",
        extract=embed.from_png,
        frames="animation",
        find_pages=png_texts.find_frames,
        find_resolution=resolution.in_png,
        find_colours=named_colours.in_png,
        options=lambda _, wanted, quality: {
            "compression": 3 if wanted.compression is None else wanted.compression,
            "filter": "paeth",
        },
        embed=embed.into_png,
        writes_alpha=True,
        writes_16_bits=True,
        writes_profile=True,
        metadata=CAMERA | {"iptc", "comments"},
    ),
    Format(
        "WEBP",
        (".webp",),
        lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
        "vips",
        "vips",
        frames="animation",
        find_quality=quantisation.find_webp_quality,
        options=lambda _, wanted, quality: {"Q": quality, "lossless": wanted.lossless, "smart_subsample": True},
        embed=embed.fill_exif_space,
        largest_side=16383,
        writes_alpha=True,
        writes_grey=False,
        writes_profile=True,
        metadata=CAMERA,
        quality=90,
    ),
    Format(
        "RAW",
        RAW_SUFFIXES,
        _begins_as_raw,
        "rawpy",
        result_format="TIFF",
    ),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        _starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        "vips",
        "vips",
        is_raw=tiff_exif.is_raw,
        fail_on="error",  # warnings are for text without its zero, unordered tags and the like, never for pixels
        extract=embed.from_tiff,
        frames="pages",
        find_pages=tiff_exif.find_pages,
        states_orientation=tiff_exif.states_orientation,
        is_misread=tiff_exif.holds_chrominance,
        find_resolution=resolution.in_tiff,
        find_extra_samples=tiff_exif.find_extra_samples,
        options=lambda picture, wanted, quality: {
            "compression": "none" if wanted.compression == 0 else "deflate",
            "level": wanted.compression or 6,
            "predictor": "horizontal",
            "bigtiff": picture.pixels.nbytes > 3 * 2**30,
        },
        embed=embed.into_tiff,
        writes_alpha=True,
        writes_16_bits=True,
        writes_profile=True,
        metadata=CAMERA | {"iptc"},
    ),
    Format(
        "AVIF",
        (".avif",),
        _has_brand(b"avif", b"avis"),
        "vips",
        "vips",
        find_extras=extras.in_heif,
        vips_name="heif",
        pillow_is_better=_is_avif_sequence,
        frames="animation",
        find_colours=named_colours.in_heif,
        find_orientation=orientation.find_in_heif,
        options=lambda picture, wanted, quality: {
            "compression": "av1",
            "Q": quality,
            "lossless": wanted.lossless,
            "effort": 2,
            "bitdepth": 12 if picture.depth == 16 else 8,
            "subsample_mode": "off" if wanted.lossless or quality >= 90 else "on",
        },
        embed=embed.fill_exif_space,
        largest_side=16384,
        writes_alpha=True,
        writes_16_bits=True,
        writes_grey=False,
        writes_profile=True,
        metadata=CAMERA,
        quality=80,
    ),
    Format(
        "HEIF",
        (".heic", ".heif", ".hif"),
        _has_brand(b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1"),
        "vips",
        find_extras=extras.in_heif,
        pillow_is_better=_has_pillow_heif,
        missing_decoder=(
            "HEIC pictures need an HEVC decoder, which libvips was built without. Install pillow-heif, or convert it."
        ),
        find_colours=named_colours.in_heif,
        find_orientation=orientation.find_in_heif,
    ),
    Format(
        "GIF",
        (".gif",),
        _starts(b"GIF87a", b"GIF89a"),
        "vips",
        frames="animation",
        options=lambda *_: {"effort": 3},  # a higher one takes three times as long for nothing that is seen
        writes_alpha=True,
        writes_grey=False,
        largest_side=65535,
    ),
    Format(
        "BMP",
        (".bmp", ".dib"),
        _starts(b"BM"),
        writer="pillow",
        open_otherwise=bitfields.open_bitmap,
        reason_against_alpha=extras.reason_against_alpha,
        largest_side=32767,
        metadata=frozenset({"dpi"}),
    ),
    Format(
        "JPEG2000",
        (".jp2", ".j2k", ".jpx", ".j2c"),
        _starts(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
        writer="pillow",
        reads_truncated=False,  # it would be all black
        find_colours=find_in_jpeg_2000,
        deep=deep.JPEG_2000,
        is_written_in_memory=True,
        writes_alpha=True,
    ),
    Format(
        "PPM",
        (".ppm", ".pgm", ".pbm", ".pnm"),
        lambda head: re.match(rb"P[1-6][ \t\n\r]", head) is not None,
        writer="pillow",
        deep=deep.PORTABLE_MAP,
        write_deep=deep.write_portable_map,
        writes_16_bits=True,
    ),
    Format(
        "JXL",
        (".jxl",),
        _starts(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
        writer="pillow",
        is_ready=_has_pylibjxl,
        advice="JPEG XL needs pylibjxl. Install 'upscaler[jxl]', or use another format.",
        turns_itself=True,
        options=lambda _, wanted, quality: {"lossless": True} if wanted.lossless else {"quality": quality},
        writes_alpha=True,
        writes_grey=False,
        writes_profile=True,
        metadata=frozenset({"exif", "xmp"}),
        quality=90,
    ),
    Format(
        "PSD", (".psd",), _starts(b"8BPS"), has_frames=False, reason_against_alpha=extras.reason_against_alpha_of_psd
    ),
    Format("ICO", (".ico",), _starts(b"\0\0\1\0"), has_frames=False, largest_pixels=LARGEST_ICON),
    Format("ICNS", (".icns",), _starts(b"icns"), has_frames=False, largest_pixels=LARGEST_ICON),
    Format("DDS", (".dds",), _starts(b"DDS "), reason_against_alpha=extras.reason_against_alpha),
    Format("QOI", (".qoi",), _starts(b"qoif")),
    Format("SGI", (".sgi", ".rgb", ".bw"), _starts(b"\x01\xda\0", b"\x01\xda\x01")),
    Format(
        "PCX",
        (".pcx",),
        _starts(b"\n\0\1", b"\n\2\1", b"\n\3\1", b"\n\5\1"),
        find_extras=extras.in_pcx,
    ),
    Format(
        "TGA",
        (".tga", ".icb", ".vda", ".vst"),
        lambda _: False,
        writer="pillow",
        has_signature=False,
        reason_against_alpha=extras.reason_against_alpha,
        largest_side=65535,
        writes_alpha=True,
    ),
    Format(
        "PDF",
        (".pdf",),
        _starts(b"%PDF-"),
        "pages",
        frames="pages",
        is_ready=_has_pypdfium,
        advice="PDF files need pypdfium2. Install 'upscaler[pdf]'.",
    ),
    Format("CBZ", (".cbz",), lambda _: False, "pages", has_signature=False, frames="pages"),
)


def sniff(head: bytes) -> Format | None:
    """Finds the format of a file by its first 64 bytes; None if no format has them."""
    return next((format for format in FORMATS if format.recognises(head)), None)


def _row(name: str) -> Format:
    return next(format for format in FORMATS if format.name == name)


def by_suffix(suffix: str) -> Format | None:
    """Finds the format of a file name's suffix, such as ".jpg", in any case; None for an unknown one."""
    return next((format for format in FORMATS if suffix.lower() in format.suffixes), None)


def by_name(name: str) -> Format | None:
    """Finds the format of that name ("JPEG") or suffix without its dot ("jpg"), in any case; None for others."""
    return next((format for format in FORMATS if format.name == name.upper()), None) or by_suffix(f".{name}")


def choices(all_frames: bool = False) -> list[Format]:
    """Returns the formats that may be asked for, which are those that are written; documents only become documents."""
    return [format for format in FORMATS if format.is_written(all_frames) and not format.is_document]


def writable(format: Format | None, all_frames: bool = False) -> Format:
    """Returns the format itself if it can be written, else the one that its row names; PNG for None."""
    if format is None:
        return _row("PNG")
    return format if format.is_written(all_frames) else _row(format.result_format)
