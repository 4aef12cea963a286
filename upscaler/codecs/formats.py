"""The table of formats: how each is recognised, which library reads and writes it, what it can hold.

To add a format, add a row. What a written file keeps of its picture:

           16 bit   grey  alpha  profile  EXIF  XMP  IPTC  dpi  texts
JPEG       -        yes   -      yes      yes   yes  yes   yes  -
PNG        yes      yes   yes    yes      yes   yes  yes   yes  yes
WEBP       -        -     yes    yes      yes   yes  -     yes  -
TIFF       yes      yes   yes    yes      yes   yes  yes   yes  -
AVIF       12 bits  -     yes    yes      yes   yes  -     yes  -
BMP        -        yes   -      -        -     -    -     yes  -
JPEG2000   -        yes   yes    -        -     -    -     -    -
PPM        yes      yes   -      -        -     -    -     -    -
TGA        -        yes   yes    -        -     -    -     -    -

Where there is no place for it, grey becomes RGB, 16 bits become 8, alpha becomes white, and colours become sRGB; a
profile of grey pixels is kept where grey is. TIFF keeps the descriptive tags of an EXIF block, the camera's and the
GPS's; the others keep it byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

Library = Literal["vips", "pillow"]


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the table."""

    name: str
    """Its usual name, and Pillow's name for it."""
    suffixes: tuple[str, ...]
    """The first is given to new files."""
    recognises: Callable[[bytes], bool]
    """Whether a file's first 64 bytes are of this format."""
    reader: Library = "pillow"
    writer: Library | None = None
    """None: can be read only."""
    fail_on: Literal["error", "warning"] = "warning"
    """From which of libvips' complaints on a file counts as damaged."""
    largest_side: int = 2**31 - 1
    alpha: bool = False
    """Whether it is written with transparency."""
    sixteen: bool = False
    """Whether it is written with 16 bits a sample."""
    grey: bool = True
    """Whether it is written with one channel where that is enough."""
    profile: bool = False
    """Whether it is written with a colour profile."""
    metadata: frozenset[str] = frozenset()
    """The fields of `Metadata` that are written."""
    quality: int | None = None
    """Default for lossy writing, 1..100; None when it is lossless."""

    def __reduce__(self) -> tuple[object, ...]:
        """Another process, to which functions cannot be sent, takes its own row of the same name."""
        return _row, (self.name,)


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


def _webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _brands(head: bytes) -> list[bytes]:
    """Of an ISO base media file, the first is the major one."""
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]


def _avif(head: bytes) -> bool:
    return any(brand in (b"avif", b"avis") for brand in _brands(head))


def _heif(head: bytes) -> bool:
    return any(brand in (b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1") for brand in _brands(head))


def _portable_map(head: bytes) -> bool:
    return head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in (b" ", b"\t", b"\n", b"\r")


def _never(head: bytes) -> bool:
    return False


CAMERA: Final = frozenset({"exif", "xmp", "dpi"})

FORMATS: Final[tuple[Format, ...]] = (
    Format(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        _starts(b"\xff\xd8\xff"),
        "vips",
        "vips",
        largest_side=65500,
        profile=True,
        metadata=CAMERA | {"iptc"},
        quality=95,
    ),
    Format(
        "PNG",
        (".png",),
        _starts(b"\x89PNG\r\n\x1a\n"),
        "vips",
        "vips",
        alpha=True,
        sixteen=True,
        profile=True,
        metadata=CAMERA | {"iptc", "comments"},
    ),
    Format(
        "WEBP",
        (".webp",),
        _webp,
        "vips",
        "vips",
        largest_side=16383,
        alpha=True,
        grey=False,
        profile=True,
        metadata=CAMERA,
        quality=90,
    ),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        _starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        "vips",
        "vips",
        fail_on="error",  # warnings are for text without its zero, unordered tags and the like, never for pixels
        alpha=True,
        sixteen=True,
        profile=True,
        metadata=CAMERA | {"iptc"},
    ),
    Format(
        "AVIF",
        (".avif",),
        _avif,
        "vips",
        "vips",
        largest_side=16384,
        alpha=True,
        sixteen=True,
        grey=False,
        profile=True,
        metadata=CAMERA,
        quality=80,
    ),
    Format("HEIF", (".heic", ".heif", ".hif"), _heif, "vips"),
    Format("GIF", (".gif",), _starts(b"GIF87a", b"GIF89a"), "vips"),
    Format(
        "BMP",
        (".bmp", ".dib"),
        _starts(b"BM"),
        writer="pillow",
        largest_side=32767,
        metadata=frozenset({"dpi"}),
    ),
    Format(
        "JPEG2000",
        (".jp2", ".j2k", ".jpx", ".j2c"),
        _starts(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
        writer="pillow",
        alpha=True,
    ),
    Format("PPM", (".ppm", ".pgm", ".pbm", ".pnm"), _portable_map, writer="pillow", sixteen=True),
    Format("PSD", (".psd",), _starts(b"8BPS")),
    Format("ICO", (".ico",), _starts(b"\0\0\1\0")),
    Format("ICNS", (".icns",), _starts(b"icns")),
    Format("DDS", (".dds",), _starts(b"DDS ")),
    Format("QOI", (".qoi",), _starts(b"qoif")),
    Format("SGI", (".sgi", ".rgb", ".bw"), _starts(b"\x01\xda\0", b"\x01\xda\x01")),
    Format("PCX", (".pcx",), _starts(b"\n\0\1", b"\n\2\1", b"\n\3\1", b"\n\5\1")),
    # Nothing in a TGA's first bytes tells it: its name must.
    Format("TGA", (".tga", ".icb", ".vda", ".vst"), _never, writer="pillow", largest_side=65535, alpha=True),
)


def sniff(head: bytes) -> Format | None:
    """The format of a file by its first 64 bytes."""
    return next((format for format in FORMATS if format.recognises(head)), None)


def _row(name: str) -> Format:
    return next(format for format in FORMATS if format.name == name)


def by_suffix(suffix: str) -> Format | None:
    """The format of a file name's suffix, such as ".jpg", in any case."""
    return next((format for format in FORMATS if suffix.lower() in format.suffixes), None)


def by_name(name: str) -> Format | None:
    """The format of that name ("JPEG") or suffix without its dot ("jpg"), in any case."""
    return next((format for format in FORMATS if format.name == name.upper()), None) or by_suffix(f".{name}")


def writable(format: Format | None) -> Format:
    """The format itself if it can be written, else PNG."""
    if format is not None and format.writer is not None:
        return format
    return _row("PNG")
