"""Two folders of files: none of the one is a picture that can be read, all of the other are."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .tiffs import long, raw, short, structure, text, tiff

WIDTH, HEIGHT = 96, 64
HUGE = 60000

READABLE = (
    "jpg",
    "png",
    "webp",
    "tif",
    "avif",
    "gif",
    "bmp",
    "jp2",
    "ppm",
    "psd",
    "ico",
    "dds",
    "qoi",
    "sgi",
    "pcx",
    "tga",
)
"""Suffixes of all formats of the table that these tests can make, ICNS and HEIC aside."""


def gradient(width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """(height, width, 3), smooth with a little noise, so that no format packs it into nothing."""
    y, x = np.mgrid[:height, :width]
    smooth = np.dstack([x * 255 // width, y * 255 // height, (x + y) % 256]).astype(np.uint8)
    return smooth // 2 + np.random.default_rng(1).integers(0, 120, smooth.shape, np.uint8)


def file_of(suffix: str) -> bytes:
    """The gradient in one of the READABLE formats."""
    image = Image.fromarray(gradient())
    if suffix == "psd":
        head = struct.pack(">4sH6xHIIHH12xH", b"8BPS", 1, 3, HEIGHT, WIDTH, 8, 3, 0)
        return head + gradient().transpose(2, 0, 1).tobytes()
    if suffix == "ico":
        return saved(image.crop((0, 0, 64, 64)), "ICO", sizes=[(64, 64)])
    names = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}
    options = {"tif": {"compression": "tiff_adobe_deflate"}, "tga": {"compression": "tga_rle"}}
    return saved(image, names.get(suffix, suffix.upper()), **options.get(suffix, {}))


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks: bytes) -> bytes:
    """A PNG with these chunks after its header."""
    png = file_of("png")
    return png[:33] + b"".join(chunks) + png[33:]


def looping(tiff: bytes) -> bytes:
    """The same classic little-endian TIFF, its directory followed by itself."""
    (at,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, at)
    link = at + 2 + 12 * count
    return tiff[:link] + struct.pack("<I", at) + tiff[link + 4 :]


def _huge() -> dict[str, bytes]:
    """Headers that promise more pixels than any limit; some are followed by a few."""
    jpeg = bytearray(file_of("jpg"))
    frame = jpeg.index(b"\xff\xc0") + 5
    jpeg[frame : frame + 4] = struct.pack(">HH", HUGE, HUGE)
    png_header = struct.pack(">IIBBBBB", HUGE, HUGE, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", png_header) + png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    return {
        "huge.jpg": bytes(jpeg),
        "huge.png": png + png_chunk(b"IEND", b""),
        "huge.bmp": b"BM" + struct.pack("<IIIIiiHH", 1000, 0, 54, 40, HUGE, HUGE, 1, 24) + bytes(1000),
        "huge.tif": tiff(np.zeros((8, 8), np.uint8), {256: long(HUGE), 257: long(HUGE)}),
        "huge.gif": b"GIF89a"
        + struct.pack("<HHBBB", HUGE, HUGE, 0, 0, 0)
        + b",\0\0\0\0"
        + struct.pack("<HH", HUGE, HUGE)
        + b"\0\2\1\0\0;",
        "huge.tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, HUGE, HUGE, 24, 0) + bytes(1000),
        "huge.ppm": b"P6\n60000 60000\n255\n" + bytes(1000),
        "huge.psd": struct.pack(">4sH6xHIIHH12xH", b"8BPS", 1, 3, HUGE // 2, HUGE // 2, 8, 3, 0) + bytes(1000),
        "huge.qoi": b"qoif" + struct.pack(">IIBB", HUGE, HUGE, 3, 0) + bytes(100),
    }


def _wrong_kinds() -> dict[str, bytes]:
    """Whole files of another kind, and empty ones."""
    heading = b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a 'aaaaaaaaaa'>"
    bomb = b"".join(b"<!ENTITY %c '%s'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    noise = np.random.default_rng(2).bytes(5000)
    return {
        "text.jpg": b"This is not a picture at all.\n" * 20,
        "film.mp4": struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 512, b"isom", b"mp42") + noise,
        "film.heic": struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 512, b"isom", b"mp42") + noise,
        "paper.pdf": b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF\n",
        "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "bomb.svg": heading + bomb + b"]><svg xmlns='http://www.w3.org/2000/svg'>&j;</svg>",
        "bomb.png": heading + bomb + b"]><svg xmlns='http://www.w3.org/2000/svg'>&j;</svg>",
        "drawing.gif": b"GIF89a<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>",
        "archive.png": b"PK\3\4" + noise,
        "random.png": b"\x80" + noise,
        "random.tif": b"\x80" + noise,
        "empty.jpg": b"",
        "empty.tga": b"",
        "one byte.png": b"\x89",
        "zeros.bmp": bytes(4000),
        "no suffix": b"hello",
        "nonsense.tga": b"\xff" * 18 + noise,
        "text.tga": b"This is not a picture at all.\n" * 20,
    }


def _damaged() -> dict[str, bytes]:
    """Right at the beginning, wrong further on."""
    grey = gradient()[:, :, 0]
    png = bytearray(file_of("png"))
    png[len(png) // 2] ^= 0x55
    tif = bytearray(file_of("tif"))
    tif[len(tif) // 2] ^= 0x55
    webp = bytearray(file_of("webp"))
    webp[20:40] = b"\xff" * 20
    avif = bytearray(file_of("avif"))
    avif[-800:] = b"\xff" * 800
    # a property that decoders must know, whose name is no text and is repeated in libvips' report
    unknown = file_of("avif").replace(b"pixi", b"i4\xe7t").replace(b"\4\1\2\x83\4", b"\4\1\x82\x83\4")
    gif = bytearray(file_of("gif"))
    gif[900:] = b"\xff" * (len(gif) - 900)
    ico = struct.pack("<HHHBBBBHHII", 0, 1, 1, 64, 64, 0, 0, 1, 32, 2**31, 2**32 - 100) + bytes(200)
    inner = saved(Image.new("L", (6000, 6000)), "PNG")
    liar = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner
    noise = np.random.default_rng(3).bytes(3000)
    return {
        "damaged.png": bytes(png),
        "damaged.tif": bytes(tif),
        "damaged.webp": bytes(webp),
        "damaged.avif": bytes(avif),
        "no text.avif": unknown,
        "damaged.gif": bytes(gif),
        "header only.gif": b"GIF89a\x40\0\x40\0\x80\0\0\0\0\0\xff\xff\xff",
        "header only.png": file_of("png")[:33],
        "header only.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0",
        "magic only.png": b"\x89PNG\r\n\x1a\n",
        "magic only.jpg": b"\xff\xd8\xff",
        "magic only.tif": b"II*\0",
        "magic only.bmp": b"BM",
        "magic only.ppm": b"P6\n",
        "magic only.jp2": b"\0\0\0\x0cjP  \r\n\x87\n",
        "noise.jpg": b"\xff\xd8\xff\xe0" + noise,
        "noise.png": b"\x89PNG\r\n\x1a\n" + noise,
        "noise.tif": b"II*\0" + noise,
        "noise.webp": b"RIFF" + struct.pack("<I", 3004) + b"WEBP" + noise,
        "noise.avif": struct.pack(">I4s4sI4s", 20, b"ftyp", b"avif", 0, b"mif1") + noise,
        "noise.gif": b"GIF89a" + noise,
        "noise.bmp": b"BM" + noise,
        "noise.jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + noise,
        "noise.ppm": b"P6\n" + noise,
        "noise.psd": b"8BPS" + noise,
        "noise.ico": b"\0\0\1\0" + noise,
        "noise.icns": b"icns" + noise,
        "noise.dds": b"DDS " + noise,
        "noise.qoi": b"qoif" + noise,
        "noise.sgi": b"\x01\xda\0" + noise,
        "noise.pcx": b"\n\5\1" + noise,
        "wild offsets.ico": ico,
        "larger inside.ico": liar,
        "lying.ppm": b"P6\n-5 9\n255\n" + noise,
        "words.ppm": b"P3\n4 4\n255\n" + b"red green blue " * 16,
        "unknown compression.tif": tiff(grey, {259: short(60001)}),
        "loop.tif": looping(tiff(grey, {259: short(60001)})),
        "float.tif": tiff(grey.astype(np.float32)),
        "integer.tif": tiff(grey.astype(np.int32)),
        "signed.tif": tiff(grey.astype(np.int16)),
        "five channels.tif": tiff(np.dstack([gradient(), grey, grey])),
        "cut.tif": structure({}, data=b"")[:-4] + bytes(2),
        "no pixels.tif": b"II*\0\x08\0\0\0\0\0\0\0\0\0",
    }


def make_bad_files(folder: Path) -> list[Path]:
    """Files that must each be refused: cut short, damaged, of another kind, empty, or with a huge or odd header."""
    files = {}
    for suffix in READABLE:
        whole = file_of(suffix)
        for part in (10, 50, 95):
            files[f"cut {part}.{suffix}"] = whole[: len(whole) * part // 100]
    return _written(folder, files | _huge() | _wrong_kinds() | _damaged())


def make_good_files(folder: Path) -> list[Path]:
    """Files that must each be read, though they are odd: wrong names, unknown parts, things after the end."""
    jpeg, png, grey = file_of("jpg"), file_of("png"), gradient()[:, :, 0]
    frames = [Image.fromarray(np.roll(gradient(), 9 * number, axis=1)) for number in range(3)]
    more = {"save_all": True, "append_images": frames[1:]}
    private = {65000: text("hello"), 50000: short(7, 8, 9), 37724: raw(bytes(99))}
    files = {f"plain.{suffix}": file_of(suffix) for suffix in READABLE} | {
        "jpeg.png": jpeg,
        "png.jpg": png,
        "jpeg": jpeg,
        "more after the end.jpg": jpeg + b"appended " * 50,
        "a film after the end.jpg": jpeg + b"\0\0\0\x18ftypmp42" + bytes(500),
        "zeros before the end.jpg": jpeg[:-2] + bytes(7) + jpeg[-2:],
        "no jfif.jpg": jpeg[:2] + jpeg[20:],
        "a jfif to come.jpg": jpeg[:11] + b"\x09" + jpeg[12:],
        "progressive.jpg": saved(frames[0], "JPEG", progressive=True),
        "cmyk.jpg": saved(frames[0].convert("CMYK"), "JPEG"),
        "more after the end.png": png + b"appended " * 50,
        "no end.png": png[:-12],
        "broken text.png": png_with(struct.pack(">I", 8) + b"tEXtkey\0text" + b"\0\0\0\0"),
        "latin text.png": png_with(png_chunk(b"tEXt", b"Autor\xfc\0M\xfcller")),
        "no such profile.png": png_with(png_chunk(b"iCCP", b"x\0\0" + zlib.compress(b"nonsense" * 30))),
        "unknown part.png": png_with(png_chunk(b"teSt", b"anything")),
        "private tags.tif": tiff(grey, private),
        "no zero after text.tif": tiff(grey, {305: (2, b"program"), 306: (2, b"2024:01:02 03:04:05!")}),
        "loop.tif": looping(tiff(grey)),
        "big endian.tif": tiff(grey, order=">"),
        "big.tif": tiff(grey, big=True),
        "pages.tif": saved(frames[0], "TIFF", **more),
        "film.gif": saved(frames[0], "GIF", **more),
        "film.png": saved(frames[0], "PNG", **more),
        "film behind a still.png": saved(frames[0], "PNG", default_image=True, **more),
        "film.avif": saved(frames[0], "AVIF", **more),
        "film.webp": saved(frames[0], "WEBP", **more),
        "more after the end.gif": file_of("gif") + b"appended",
        "more after the end.webp": file_of("webp") + b"appended",
        "one bit.png": saved(frames[0].convert("1"), "PNG"),
        "one bit.pbm": saved(frames[0].convert("1"), "PPM"),
        "fax.tif": saved(frames[0].convert("1"), "TIFF", compression="group4"),
        "comment.ppm": b"P3\n# made by hand\n2 1\n# 16 bits\n1023\n0 1 2 3 4 1023\n",
        "one pixel.png": saved(Image.new("RGB", (1, 1)), "PNG"),
    }
    return _written(folder, files)


def _written(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]
