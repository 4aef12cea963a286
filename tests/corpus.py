"""Odd files of every format that Pillow reads too, made by Pillow, libvips and a few lines of code: palettes, depths,
colour spaces, layouts, places of metadata, chunks in other orders, bytes that do not belong there."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image

from .bad_files import png_chunk, saved
from .codecs import icc
from .codecs.blocks import exif, jpeg_with, png_of, xmp
from .tiffs import BYTE, long, raw, short, smooth, structure, tiff

WIDTH, HEIGHT = 48, 32


def make_corpus() -> dict[str, bytes]:
    """The files by a name that says what is odd about them; each is whole, and a picture."""
    return {**_by_pillow(), **_pngs(), **_tiffs(), **_jpegs(), **_others()}


def image(mode: str = "RGB") -> Image.Image:
    """A picture no two corners of which are alike."""
    if mode in ("LA", "RGBA"):
        return Image.fromarray(smooth(WIDTH, HEIGHT, 2 if mode == "LA" else 4))
    if mode == "P":
        return image().quantize(200)
    if mode == "I;16":
        return Image.fromarray(smooth(WIDTH, HEIGHT, 1, 16)[:, :, 0])
    if mode == "PA":
        return image("RGBA").convert("PA")
    return Image.fromarray(smooth(WIDTH, HEIGHT)).convert(mode)


def _by_pillow() -> dict[str, bytes]:
    """Every mode that Pillow writes in each format, and what its writers can do."""
    modes = {
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "TIFF": ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "LAB", "YCbCr"),
        "JPEG": ("L", "RGB", "CMYK"),
        "WEBP": ("RGB", "RGBA"),
        "AVIF": ("RGB", "RGBA"),
        "GIF": ("1", "L", "P"),
        "BMP": ("1", "L", "P", "RGB", "RGBA"),
        "JPEG2000": ("L", "LA", "RGB", "RGBA"),
        "PPM": ("1", "L", "RGB"),
        "TGA": ("1", "L", "LA", "P", "RGB", "RGBA"),
        "PCX": ("1", "L", "P", "RGB"),
        "SGI": ("L", "RGB", "RGBA"),
        "DDS": ("L", "LA", "RGB", "RGBA"),
        "ICO": ("RGB", "RGBA"),
        "QOI": ("RGB", "RGBA"),
    }
    files = {}
    for format, names in modes.items():
        for mode in names:
            files[f"{mode.replace(';', ' ')}.{format.lower()}"] = saved(image(mode), format)
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"):
        files[f"{compression}.tiff"] = saved(image(), "TIFF", compression=compression)
    files["group3.tiff"] = saved(image("1"), "TIFF", compression="group3")
    for subsampling, progressive in itertools.product((0, 1, 2), (False, True)):
        options = {"subsampling": subsampling, "progressive": progressive}
        files[f"subsampling {subsampling} progressive {progressive}.jpeg"] = saved(image(), "JPEG", **options)
    files["transparent colour.gif"] = saved(image("P"), "GIF", transparency=3)
    files["interlaced.gif"] = saved(image("P"), "GIF", interlace=1)
    files["rle.tga"] = saved(image(), "TGA", rle=True)
    files["from below.tga"] = saved(image(), "TGA", orientation=1)
    files["tiled.jpeg2000"] = saved(image(), "JPEG2000", tile_size=(16, 16))
    files["codestream alone.jpeg2000"] = saved(image(), "JPEG2000", no_jp2=True)
    return files


def _pngs() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    pixels = smooth(WIDTH, HEIGHT)
    for depth, channels in itertools.product((8, 16), (1, 2, 3, 4)):
        files[f"{depth} bits of {channels}.png"] = png_of(smooth(WIDTH, HEIGHT, channels, depth))
    for bits in (1, 2, 4):
        files[f"grey of {bits} bits.png"] = _small_grey(bits)
    colours = image("P")
    files["transparent palette.png"] = saved(colours, "PNG", transparency=bytes(range(200)))
    files["transparent colour.png"] = saved(image(), "PNG", transparency=tuple(map(int, pixels[4, 5])))
    files["transparent grey.png"] = saved(image("L"), "PNG", transparency=int(np.asarray(image("L"))[4, 5]))
    made = pyvips.Image.new_from_memory(pixels.tobytes(), WIDTH, HEIGHT, 3, "uchar").copy(interpretation="srgb")
    files["interlaced.png"] = bytes(made.pngsave_buffer(interlace=True))
    files["palette of libvips.png"] = bytes(made.pngsave_buffer(palette=True, bitdepth=4))
    plain = png_of(pixels)
    start = plain.index(b"IDAT") - 4
    (size,) = struct.unpack_from(">I", plain, start)
    data, end = plain[start + 8 : start + 8 + size], plain[start + 12 + size :]
    pieces = b"".join(png_chunk(b"IDAT", data[at : at + 100]) for at in range(0, len(data), 100))
    files["many pieces.png"] = plain[:start] + pieces + end
    files["an empty piece.png"] = plain[:start] + png_chunk(b"IDAT", b"") + plain[start:]
    files["texts behind.png"] = plain[:-12] + png_chunk(b"tEXt", b"Comment\0late") + plain[-12:]
    chunks = png_chunk(b"tIME", struct.pack(">H5B", 2024, 1, 2, 3, 4, 5)) + png_chunk(b"sPLT", b"x\0\x08")
    files["times and guesses.png"] = plain[:33] + chunks + plain[33:]
    files["bytes behind.png"] = plain + bytes(1000)
    files["profile.png"] = png_of(pixels, icc.DISPLAY_P3)
    files["gamma.png"] = plain[:33] + png_chunk(b"gAMA", struct.pack(">I", 45455)) + plain[33:]
    for orientation in (2, 5, 6):
        files[f"EXIF {orientation}.png"] = (
            plain[:33] + png_chunk(b"eXIf", exif(WIDTH, HEIGHT, orientation)) + plain[33:]
        )
        packet = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(WIDTH, HEIGHT, orientation)
        files[f"XMP {orientation}.png"] = plain[:33] + png_chunk(b"iTXt", packet) + plain[33:]
    return files


def _small_grey(bits: int) -> bytes:
    """A grey PNG of less than 8 bits a sample."""
    values = smooth(WIDTH, HEIGHT, 1)[:, :, 0] >> (8 - bits)
    shifts = np.arange(8 - bits, -1, -bits)
    rows = (values.reshape(HEIGHT, -1, 8 // bits) << shifts).sum(axis=2).astype(np.uint8)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, 0, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(lines)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _tiffs() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    pixels, grey = smooth(WIDTH, HEIGHT), smooth(WIDTH, HEIGHT, 1)[:, :, 0]
    for order, big in itertools.product("<>", (False, True)):
        name = f"{'big ' * big}{'little' if order == '<' else 'big'} endian"
        files[f"{name}.tiff"] = tiff(pixels, order=order, big=big)
        files[f"{name} of 16 bits.tiff"] = tiff(smooth(WIDTH, HEIGHT, 1, 16)[:, :, 0], order=order, big=big)
    files["white is zero.tiff"] = tiff(255 - grey, {262: short(0)})
    files["planes.tiff"] = _planes(pixels)
    made = pyvips.Image.new_from_memory(pixels.tobytes(), WIDTH, HEIGHT, 3, "uchar").copy(interpretation="srgb")
    files["tiled.tiff"] = bytes(made.tiffsave_buffer(tile=True, tile_width=16, tile_height=16))
    files["pyramid.tiff"] = bytes(made.tiffsave_buffer(tile=True, tile_width=16, tile_height=16, pyramid=True))
    files["differences.tiff"] = bytes(made.tiffsave_buffer(compression="deflate", predictor="horizontal"))
    alpha = smooth(WIDTH, HEIGHT, 4)
    files["alpha.tiff"] = tiff(alpha)
    associated = alpha.copy()
    associated[:, :, :3] = np.rint(alpha[:, :, :3] * (alpha[:, :, 3:] / 255))
    files["associated alpha.tiff"] = tiff(associated, {338: short(1)})
    files["an extra channel.tiff"] = tiff(alpha, {338: short(0)})
    files["profile.tiff"] = tiff(pixels, {34675: raw(icc.ADOBE_RGB)})
    files["bytes behind.tiff"] = tiff(pixels) + bytes(999)
    for orientation in range(1, 9):
        files[f"orientation {orientation}.tiff"] = tiff(pixels, {274: short(orientation)})
    files["XMP 6.tiff"] = tiff(pixels, {700: (BYTE, xmp(WIDTH, HEIGHT, 6))})
    return files


def _planes(pixels: NDArray[np.uint8]) -> bytes:
    """A TIFF whose channels lie one behind the other."""
    height, width, channels = pixels.shape
    plane = width * height
    tags: dict[int, Any] = {
        256: long(width),
        257: long(height),
        258: short(8, 8, 8),
        259: short(1),
        262: short(2),
        273: long(*(16 + plane * channel for channel in range(channels))),
        277: short(channels),
        278: long(height),
        279: long(*[plane] * channels),
        284: short(2),
    }
    return structure(tags, data=pixels.transpose(2, 0, 1).tobytes())


def _jpegs() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    pixels = smooth(WIDTH, HEIGHT)
    plain = jpeg_with(pixels, {})
    for orientation in range(1, 9):
        files[f"EXIF {orientation}.jpeg"] = jpeg_with(pixels, {b"Exif\0\0" + exif(WIDTH, HEIGHT, orientation): 0xE1})
    packet = b"http://ns.adobe.com/xap/1.0/\0"
    for orientation in (3, 6, 8):
        files[f"XMP {orientation}.jpeg"] = jpeg_with(pixels, {packet + xmp(WIDTH, HEIGHT, orientation): 0xE1})
    both = {packet + xmp(WIDTH, HEIGHT, 8): 0xE1, b"Exif\0\0" + exif(WIDTH, HEIGHT, 6): 0xE1}
    files["EXIF 6 behind XMP 8.jpeg"] = jpeg_with(pixels, both)
    files["profile.jpeg"] = jpeg_with(pixels, {}, icc.DISPLAY_P3)
    files["bytes behind.jpeg"] = plain + b"appended" * 100
    files["a comment.jpeg"] = plain[:2] + b"\xff\xfe\0\x08hello!" + plain[2:]
    files["filled up.jpeg"] = plain[:2] + b"\xff\xff\xff" + plain[2:]
    files["restarts.jpeg"] = saved(image(), "JPEG", restart_marker_blocks=1)
    file = io.BytesIO()
    image().save(file, "JPEG", keep_rgb=True)
    files["RGB as it is.jpeg"] = file.getvalue()
    return files


def _others() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    pixels = smooth(WIDTH, HEIGHT)
    for format in ("WEBP", "AVIF"):
        options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {"quality": 95}
        for orientation in (3, 6):
            block = b"Exif\0\0" + exif(WIDTH, HEIGHT, orientation)
            files[f"EXIF {orientation}.{format.lower()}"] = saved(image(), format, exif=block, **options)
            packet = xmp(WIDTH, HEIGHT, orientation)
            files[f"XMP {orientation}.{format.lower()}"] = saved(image(), format, xmp=packet, **options)
        files[f"profile.{format.lower()}"] = saved(image(), format, icc_profile=icc.DISPLAY_P3, **options)
        frames = [Image.fromarray(np.roll(pixels, 9, axis=1))]
        files[f"film.{format.lower()}"] = saved(image(), format, save_all=True, append_images=frames, **options)
    size = b"%d %d" % (WIDTH, HEIGHT)
    deep, grey = smooth(WIDTH, HEIGHT, 3, 16), smooth(WIDTH, HEIGHT, 1, 10)
    files["16 bits.ppm"] = b"P6\n" + size + b"\n65535\n" + deep.astype(">u2").tobytes()
    files["10 bits.ppm"] = b"P5\n" + size + b"\n1023\n" + grey.astype(">u2").tobytes()
    files["words.ppm"] = b"P3\n" + size + b"\n255\n" + " ".join(map(str, pixels.ravel())).encode()
    files["from above.bmp"] = _bitmap_from_above(pixels)
    return files


def _bitmap_from_above(pixels: NDArray[np.uint8]) -> bytes:
    """A BMP whose rows begin at the top, as a negative height says."""
    height, width = pixels.shape[:2]
    rows = pixels[:, :, ::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, width, -height, 1, 24, 0, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows
