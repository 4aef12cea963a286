"""A camera's metadata, and files that carry it: written without the code under test."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image

from ..bad_files import png_chunk
from ..tiffs import BYTE, SRATIONAL, Tag, Tags, long, rational, raw, short, structure, text, tiff

DPI = 300
MAKER_NOTE = b"Nikon\0\2\x10\0\0" + bytes(range(256)) + b"the maker's own"
THUMBNAIL = b"\xff\xd8 a thumbnail of the old picture \xff\xd9"
TITLE, AUTHOR, CITY = "A cat, Müller's", "Ann Author", "Köln"


def camera_tags(width: int, height: int, orientation: int = 1) -> Tags:
    """What a camera writes into the first directory, with an EXIF and a GPS directory below it."""
    return {
        0x010F: text("NIKON CORPORATION"),
        0x0110: text("NIKON Z 8"),
        0x0112: short(orientation),
        0x011A: rational(DPI, 1),
        0x011B: rational(DPI, 1),
        0x0128: short(2),
        0x0131: text("Ver.01.00"),
        0x0132: text("2024:01:02 03:04:05"),
        0x013B: text(AUTHOR),
        0x4746: short(5),
        0x8298: text("(c) Ann"),
        0x9C9B: (BYTE, "Title".encode("utf-16-le") + b"\0\0"),
        0x8769: {
            0x829A: rational(1, 250),
            0x829D: rational(28, 10),
            0x8827: short(400),
            0x9000: raw(b"0232"),
            0x9003: text("2024:01:02 03:04:05"),
            0x9011: text("+01:00"),
            0x9204: (SRATIONAL, (-1, 3)),
            0x927C: raw(MAKER_NOTE),
            0x9286: raw(b"ASCII\0\0\0a remark"),
            0xA001: short(1),
            0xA002: short(width),
            0xA003: long(height),
            0xA432: rational(24, 1, 70, 1, 28, 10, 4, 1),
            0xA434: text("NIKKOR Z 24-70mm f/2.8 S"),
        },
        0x8825: {
            0: (BYTE, (2, 3, 0, 0)),
            1: text("N"),
            2: rational(52, 1, 31, 1, 125, 10),
            3: text("E"),
            4: rational(13, 1, 24, 1, 1, 1),
            29: text("2024:01:02"),
        },
    }


def exif(width: int, height: int, orientation: int = 1, order: str = ">") -> bytes:
    """An EXIF block with a thumbnail at its end."""
    tags = camera_tags(width, height, orientation)
    probe = structure(tags, order, next_tags=_thumbnail(0))
    return structure(tags, order, next_tags=_thumbnail(len(probe))) + THUMBNAIL


def _thumbnail(at: int) -> dict[int, Tag]:
    return {0x0103: short(6), 0x0201: long(at), 0x0202: long(len(THUMBNAIL))}


def xmp(width: int, height: int, orientation: int = 1) -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        f' tiff:Orientation="{orientation}" tiff:ImageWidth="{width}" xmp:Rating="4" xmp:CreatorTool="Ver.01.00">'
        f"<exif:PixelXDimension>{width}</exif:PixelXDimension>"
        f"<exif:PixelYDimension>{height}</exif:PixelYDimension>"
        "<xmp:Thumbnails><rdf:Alt><rdf:li>/9j/old</rdf:li></rdf:Alt></xmp:Thumbnails>"
        "<dc:subject><rdf:Bag><rdf:li>Kölner Dom</rdf:li></rdf:Bag></dc:subject>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def iptc() -> bytes:
    """Records in UTF-8: title, author, city."""
    records = b"\x1c\1\x5a\0\3\x1b%G"
    for number, words in ((5, TITLE), (80, AUTHOR), (90, CITY)):
        records += struct.pack(">BBBH", 0x1C, 2, number, len(words.encode())) + words.encode()
    return records


def photoshop(records: bytes) -> bytes:
    """Image resources as Photoshop writes them: a resolution, the records, a thumbnail of the old picture."""
    resources = b""
    for kind, name, data in ((0x03ED, b"", bytes(16)), (0x0404, b"odd", records), (0x040C, b"", THUMBNAIL)):
        label = struct.pack("B", len(name)) + name
        resources += b"8BIM" + struct.pack(">H", kind) + label + bytes(len(label) % 2)
        resources += struct.pack(">I", len(data)) + data + bytes(len(data) % 2)
    return b"Photoshop 3.0\0" + resources


def file_with_all(suffix: str, pixels: NDArray[Any], profile: bytes, orientation: int = 1) -> bytes:
    """A file as a camera and an editor would leave it, with everything that its format holds."""
    height, width = pixels.shape[:2]
    block, packet = exif(width, height, orientation), xmp(width, height, orientation)
    if suffix == "jpg":
        return jpeg_with(
            pixels, {b"Exif\0\0" + block: 0xE1, XMP_HEADER + packet: 0xE1, photoshop(iptc()): 0xED}, profile
        )
    if suffix == "png":
        records = photoshop(iptc()).removeprefix(b"Photoshop 3.0\0")
        raw_profile = f"\nIPTC profile\n{len(records):8}\n{records.hex()}\n".encode()
        chunks = [
            png_chunk(b"eXIf", block),
            png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet),
            png_chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(raw_profile)),
            png_chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1)),
            png_chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)),
        ]
        png = _saved(pixels, "PNG")
        return png[:33] + b"".join(chunks) + png[33:]
    if suffix == "tif":
        tags = dict(camera_tags(width, height, orientation))
        tags |= {700: (BYTE, packet), 33723: raw(iptc()), 34675: raw(profile)}
        return tiff(pixels, tags)
    names = {"webp": "WEBP", "avif": "AVIF"}
    lossless: dict[str, Any] = {"lossless": True} if suffix == "webp" else {"quality": 95}
    return _saved(pixels, names[suffix], exif=b"Exif\0\0" + block, xmp=packet, icc_profile=profile, **lossless)


XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"


def jpeg_with(pixels: NDArray[Any], segments: dict[bytes, int], profile: bytes | None = None) -> bytes:
    options: dict[str, Any] = {"icc_profile": profile} if profile else {}
    jpeg = _saved(pixels, "JPEG", quality=95, subsampling=0, **options)
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for data, marker in segments.items())
    return jpeg[:2] + head + jpeg[2:]


def png_of(pixels: NDArray[Any], profile: bytes | None = None, orientation: int | None = None) -> bytes:
    """8 or 16 bit and 1 to 4 channels, by libvips."""
    height, width, channels = pixels.shape
    depth = 8 * pixels.itemsize
    image = pyvips.Image.new_from_memory(pixels.tobytes(), width, height, channels, "uchar" if depth == 8 else "ushort")
    meaning = ("b-w", "grey16") if channels <= 2 else ("srgb", "rgb16")
    image = image.copy(interpretation=meaning[depth == 16])
    if profile is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    png: bytes = image.pngsave_buffer(keep="icc")
    if orientation is None:
        return png
    return png[:33] + png_chunk(b"eXIf", structure({0x0112: short(orientation)})) + png[33:]


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Stored pixels as EXIF (2.32, 4.6.4) says they are to be seen."""
    rows = {1: pixels, 4: pixels[::-1], 5: pixels.swapaxes(0, 1), 6: np.rot90(pixels, -1), 8: np.rot90(pixels)}
    return {2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 7: pixels[::-1, ::-1].swapaxes(0, 1), **rows}[orientation]


def _saved(pixels: NDArray[Any], format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, format, **options)
    return file.getvalue()
