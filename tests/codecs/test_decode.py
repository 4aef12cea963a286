"""What is read: pixels as they are to be seen, alpha, depth, profile, metadata; and what is refused, and how."""

from __future__ import annotations

import base64
import io
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image

from upscaler.codecs import decode, looks_like_picture
from upscaler.errors import PictureError, UpscalerError

from ..bad_files import READABLE, file_of, gradient, make_bad_files, make_good_files, png_chunk, png_with, saved
from ..tiffs import long, raw, short, smooth, structure, text, tiff
from . import blocks, icc

ORIENTATIONS = range(1, 9)
DEPTHS = [(depth, channels) for depth in (8, 16) for channels in (1, 2, 3, 4)]


def same(found: NDArray[Any], wanted: NDArray[Any]) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def close(found: NDArray[Any], wanted: NDArray[Any], levels: float) -> None:
    """Within so many 8-bit levels on average."""
    assert found.shape == wanted.shape
    top = np.iinfo(found.dtype).max
    assert np.abs(found / top - wanted / np.iinfo(wanted.dtype).max).mean() * 255 <= levels


@pytest.mark.parametrize("profile", [False, True], ids=["bare", "profile"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(("depth", "channels"), DEPTHS)
def test_png_is_read_upright_to_the_last_bit(depth: int, channels: int, orientation: int, profile: bool) -> None:
    stored = smooth(30, 20, channels, depth)
    own = (icc.GREY if channels <= 2 else icc.ADOBE_RGB) if profile else None
    picture = decode(blocks.png_of(stored, own, orientation))
    same(picture.pixels, blocks.turned(stored, orientation))
    assert picture.profile == own
    assert (picture.depth, picture.has_alpha, picture.format) == (depth, channels in (2, 4), "PNG")


@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "large"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(("depth", "channels"), DEPTHS)
def test_tiff_is_read_upright_to_the_last_bit(
    depth: int, channels: int, orientation: int, order: str, big: bool
) -> None:
    stored = smooth(30, 20, channels, depth)
    own = icc.GREY if channels <= 2 else icc.DISPLAY_P3
    picture = decode(tiff(stored, {274: short(orientation), 34675: raw(own)}, order, big))
    same(picture.pixels, blocks.turned(stored, orientation))
    assert picture.profile == own


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_photo_is_read_upright(suffix: str, orientation: int) -> None:
    stored = smooth(60, 40)
    picture = decode(blocks.file_with_all(suffix, stored, icc.DISPLAY_P3, orientation))
    close(picture.pixels, blocks.turned(stored, orientation), 2)
    assert picture.profile == icc.DISPLAY_P3


def test_grey_jpeg_stays_grey() -> None:
    picture = decode(saved(Image.fromarray(smooth(30, 20, 1)[:, :, 0]), "JPEG", icc_profile=icc.GREY))
    assert picture.pixels.shape == (20, 30, 1)
    assert picture.profile == icc.GREY


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_alpha_is_read(channels: int) -> None:
    stored = smooth(30, 20, channels)
    same(decode(saved(Image.fromarray(stored), "WEBP", lossless=True, exact=True)).pixels, stored)


@pytest.mark.parametrize(
    ("image", "options", "shape"),
    [
        (Image.fromarray(gradient()).quantize(16), {}, (64, 96, 3)),
        (Image.fromarray(gradient()).quantize(16), {"transparency": 3}, (64, 96, 4)),
        (Image.fromarray(gradient()[:, :, 0] > 90), {}, (64, 96, 1)),
        (Image.fromarray(gradient()[:, :, 0]), {"transparency": 40}, (64, 96, 2)),
        (Image.fromarray(gradient()), {"transparency": (1, 2, 3)}, (64, 96, 4)),
    ],
    ids=["palette", "palette with a hole", "one bit", "grey with a hole", "rgb with a hole"],
)
def test_png_of_few_colours_is_read_in_full(
    image: Image.Image, options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    pixels = decode(saved(image, "PNG", **options)).pixels
    assert pixels.shape == shape
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[shape[2]]
    reopened: Any = Image.open(io.BytesIO(saved(image, "PNG", **options)))
    same(pixels, np.asarray(reopened.convert(mode)).reshape(shape))


def test_premultiplied_alpha_becomes_straight() -> None:
    stored = np.full((8, 8, 4), 50, np.uint8)
    stored[:, :, 3] = 128
    np.testing.assert_allclose(decode(tiff(stored, {338: short(1)})).pixels[0, 0], [100, 100, 100, 128], atol=1)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif_spans_the_full_range(bits: int) -> None:
    stored = np.zeros((64, 64, 3), np.uint16)
    stored[:, 32:] = 65535
    image = pyvips.Image.new_from_memory(stored.tobytes(), 64, 64, 3, "ushort").copy(interpretation="rgb16")
    picture = decode(image.heifsave_buffer(compression="av1", bitdepth=bits, lossless=True, keep="none"))
    assert picture.pixels.dtype == np.uint16
    assert (picture.pixels.min(), picture.pixels.max()) == (0, 65535)


@pytest.mark.parametrize("depth", [8, 16])
def test_cmyk_goes_through_its_profile(depth: int) -> None:
    y, x = np.mgrid[:16, :16] / 15
    full = 2**depth - 1
    stored = np.rint(np.dstack([x, y, x * y, y / 3]) * full).astype(np.uint16 if depth == 16 else np.uint8)
    own = bytes(pyvips.Image.profile_load("cmyk"))
    picture = decode(tiff(stored, {262: short(5), 338: short(0), 34675: raw(own)} | {332: short(1)}))
    assert picture.pixels.shape == (16, 16, 3)
    assert picture.depth == depth
    assert np.abs(picture.pixels.astype(int) - icc.in_srgb(stored, own)).max() <= 3 * full // 255
    assert picture.profile != own
    assert picture.profile is None or picture.profile[16:20] == b"RGB "


def test_cmyk_with_a_damaged_profile_is_read_by_a_common_one() -> None:
    stored = np.zeros((8, 8, 4), np.uint8)
    common = bytes(pyvips.Image.profile_load("cmyk"))
    for own in (common[:3000], common[:128] + bytes(500), icc.ADOBE_RGB):
        assert decode(tiff(stored, {262: short(5), 338: short(0), 332: short(1), 34675: raw(own)})).pixels.min() > 245


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile_is_neither_negative_nor_garish(format: str) -> None:
    stored = np.zeros((32, 96, 4), np.uint8)
    stored[:, 32:64, 3] = 255
    stored[:, 64:, 0] = 255
    options = {"quality": 100} if format == "JPEG" else {}
    white, black, cyan = decode(saved(Image.fromarray(stored, "CMYK"), format, **options)).pixels[16, [16, 48, 80]]
    assert white.min() > 245
    assert black.max() < 60
    assert cyan[0] < 80
    assert cyan[2] > 180


def test_16_bit_lab_is_read_as_colours() -> None:
    lab = np.zeros((8, 24, 3), np.int64)
    lab[:, :8], lab[:, 8:16], lab[:, 16:] = (100, 0, 0), (0, 0, 0), (53, 80, 67)
    stored = np.rint(lab * [65535 / 100, 256, 256]).astype(np.int64).astype(np.uint16)
    pixels = decode(tiff(stored, {262: short(8)})).pixels
    scale = np.iinfo(pixels.dtype).max / 255
    np.testing.assert_allclose(pixels[4, [4, 12, 20]] / scale, [[255] * 3, [0] * 3, [255, 0, 0]], atol=8)


@pytest.mark.parametrize("top", [255, 300, 1023, 4095, 65535])
@pytest.mark.parametrize("kind", [b"P2", b"P3", b"P5", b"P6"])
def test_portable_map_keeps_every_level(kind: bytes, top: int) -> None:
    channels = 3 if kind in (b"P3", b"P6") else 1
    values = np.arange(4 * 5 * channels).reshape(4, 5, channels) * top // (20 * channels - 1)
    plain = kind in (b"P2", b"P3")
    data = b" ".join(b"%d" % value for value in values.ravel()) if plain else values.astype(">u2").tobytes()
    if not plain and top == 255:
        data = values.astype(np.uint8).tobytes()
    pixels = decode(kind + b"\n# by hand\n5 4\n%d\n" % top + data).pixels
    assert pixels.dtype == (np.uint8 if top == 255 else np.uint16)
    np.testing.assert_array_equal(pixels, np.rint(values * (np.iinfo(pixels.dtype).max / top)))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_jpeg_2000_keeps_16_bits(channels: int) -> None:
    import cv2

    stored = smooth(64, 48, channels, 16)
    order = [2, 1, 0, 3][:channels] if channels > 1 else [0]
    _, data = cv2.imencode(".jp2", stored[:, :, order], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    same(decode(data.tobytes()).pixels, stored)


def test_jpeg_2000_keeps_its_profile() -> None:
    jp2 = saved(Image.fromarray(smooth(64, 48)), "JPEG2000")
    header, colour = jp2.index(b"jp2h") - 4, jp2.index(b"colr") - 4
    new = (len(icc.DISPLAY_P3) + 11).to_bytes(4, "big") + b"colr\2\0\0" + icc.DISPLAY_P3
    length = int.from_bytes(jp2[header : header + 4], "big") + len(new) - 15
    jp2 = jp2[:header] + length.to_bytes(4, "big") + jp2[header + 4 : colour] + new + jp2[colour + 15 :]
    picture = decode(jp2)
    assert picture.profile == icc.DISPLAY_P3
    same(picture.pixels, smooth(64, 48))


@pytest.mark.parametrize(("codes", "profile"), [((12, 13), "p3"), ((1, 13), None)], ids=["p3", "srgb"])
def test_avif_that_names_its_colours_by_number_keeps_them(codes: tuple[int, int], profile: str | None) -> None:
    import cv2

    _, data = cv2.imencode(".avif", smooth(64, 48))
    at = data.tobytes().index(b"colrnclx") + 8
    avif = bytearray(data.tobytes())
    avif[at : at + 4] = bytes([0, codes[0], 0, codes[1]])
    assert decode(bytes(avif)).profile == (profile and bytes(pyvips.Image.profile_load(profile)))


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
def test_metadata_is_read_whole(suffix: str) -> None:
    metadata = decode(blocks.file_with_all(suffix, smooth(60, 40), icc.DISPLAY_P3)).metadata
    assert metadata.exif is not None
    assert blocks.MAKER_NOTE in metadata.exif
    assert metadata.xmp == blocks.xmp(60, 40)
    assert metadata.iptc == (blocks.iptc() if suffix in ("jpg", "png", "tif") else None)
    assert metadata.dpi == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "large"])
@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
def test_tiff_gives_its_exif_and_nothing_of_its_structure(order: str, big: bool) -> None:
    file = tiff(smooth(60, 40, 3, 16), blocks.camera_tags(60, 40), order, big)
    block = decode(file).metadata.exif
    assert block is not None
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    assert not {256, 257, 258, 259, 262, 273, 277, 278, 279} & set(exif)
    assert (exif[0x0110], exif[0x4746]) == ("NIKON Z 8", 5)
    details, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    assert details[0x829A] == 1 / 250
    assert float(details[0x9204]) == pytest.approx(-1 / 3)
    assert details[0x927C] == blocks.MAKER_NOTE
    assert place[2] == (52, 31, 12.5)


def test_description_that_programs_write_is_left_out() -> None:
    assert decode(tiff(smooth(6, 4), {270: text('{"shape": [4, 6, 3]}')})).metadata.exif is None


def test_resolution_turns_with_the_picture() -> None:
    block = structure({274: short(6), 282: (5, (300, 1)), 283: (5, (150, 1)), 296: short(2)})
    picture = decode(blocks.jpeg_with(smooth(60, 40), {b"Exif\0\0" + block: 0xE1}))
    assert picture.metadata.dpi == (150, 300)


def test_resolution_that_is_not_stated_is_none() -> None:
    for suffix in ("jpg", "png", "tif", "webp", "avif"):
        assert decode(file_of(suffix)).metadata.dpi is None, suffix


def test_texts_of_a_png_are_read_in_their_own_alphabets() -> None:
    png = png_with(
        png_chunk(b"tEXt", b"parameters\0a cat, steps: 20"),
        png_chunk(b"tEXt", b"Autor\xfc\0M\xfcller"),
        png_chunk(b"iTXt", "Titel\0\0\0de\0Titel\0漢字".encode()),
        png_chunk(b"iTXt", b"broken\0\1\0\0\0not compressed"),
        png_chunk(b"tEXt", b"parameters\0a second one"),
    )
    texts = {"parameters": "a cat, steps: 20", "Autorü": "Müller", "Titel": "漢字"}
    assert decode(png).metadata.comments == texts


# ---------------------------------------------------------------- what the source may be


def test_pillow_image_comes_with_its_metadata() -> None:
    image = Image.open(io.BytesIO(blocks.file_with_all("jpg", smooth(60, 40), icc.DISPLAY_P3, 6)))
    picture, read = decode(image), decode(blocks.file_with_all("jpg", smooth(60, 40), icc.DISPLAY_P3, 6))
    assert picture.size == read.size
    assert picture.profile == read.profile
    assert picture.metadata.exif == read.metadata.exif
    assert picture.metadata.xmp == read.metadata.xmp
    assert picture.metadata.iptc == read.metadata.iptc
    assert picture.metadata.dpi == (300, 300)


def test_pillow_image_of_a_tiff_is_turned_once(tmp_path: Path) -> None:
    stored = smooth(60, 40)
    path = tmp_path / "turned.tif"
    path.write_bytes(tiff(stored, blocks.camera_tags(60, 40, 6)))
    with Image.open(path) as image:
        picture = decode(image)
    same(picture.pixels, blocks.turned(stored, 6))
    assert picture.metadata.exif is not None
    assert b"NIKON Z 8" in picture.metadata.exif


@pytest.mark.parametrize(
    ("mode", "shape", "dtype"),
    [
        ("1", (20, 30, 1), np.uint8),
        ("L", (20, 30, 1), np.uint8),
        ("LA", (20, 30, 2), np.uint8),
        ("La", (20, 30, 2), np.uint8),
        ("P", (20, 30, 3), np.uint8),
        ("PA", (20, 30, 4), np.uint8),
        ("RGB", (20, 30, 3), np.uint8),
        ("RGBA", (20, 30, 4), np.uint8),
        ("RGBa", (20, 30, 4), np.uint8),
        ("RGBX", (20, 30, 3), np.uint8),
        ("CMYK", (20, 30, 3), np.uint8),
        ("YCbCr", (20, 30, 3), np.uint8),
        ("HSV", (20, 30, 3), np.uint8),
        ("LAB", (20, 30, 3), np.uint8),
        ("I;16", (20, 30, 1), np.uint16),
        ("I;16B", (20, 30, 1), np.uint16),
        ("I", (20, 30, 1), np.uint16),
    ],
)
def test_pillow_image_of_any_mode_is_taken(mode: str, shape: tuple[int, ...], dtype: type) -> None:
    picture = decode(Image.new(mode, (30, 20)))
    assert picture.pixels.shape == shape
    assert picture.pixels.dtype == dtype


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.new("F", (3, 3)), "32-bit float"),
        (Image.new("I", (3, 3), 70000), "32-bit whole numbers"),
        (Image.new("I", (3, 3), -1), "32-bit whole numbers"),
    ],
    ids=["float", "large", "negative"],
)
def test_pillow_image_beyond_16_bits_is_refused(image: Image.Image, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        decode(image, name="mine")


def test_pillow_image_of_a_truncated_file_is_refused() -> None:
    image = Image.open(io.BytesIO(file_of("jpg")[:2000]))
    with pytest.raises(PictureError, match=r"^mine: the image cannot be read \("):
        decode(image, name="mine")


@pytest.mark.parametrize("source", [None, 3, 2.5, ["a.jpg"], {"a": 1}])
def test_source_of_another_type_is_refused(source: Any) -> None:
    with pytest.raises(PictureError, match="Pass a path, bytes, a Pillow image"):
        decode(source)


def test_bytes_path_and_text_are_the_same_picture(tmp_path: Path) -> None:
    path = tmp_path / "Ünïcode 写真 [1].jpg"
    path.write_bytes(file_of("jpg"))
    for source in (path, str(path), path.read_bytes()):
        same(decode(source).pixels, decode(file_of("jpg")).pixels)


def test_file_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    path = Path(str(tmp_path) + "/\udcff.jpg")
    try:
        path.write_bytes(file_of("jpg"))
    except OSError:
        pytest.skip("this file system has only Unicode names")
    assert decode(path).pixels.shape == (64, 96, 3)


# ---------------------------------------------------------------- what is refused


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_bad_files(tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="module")
def good_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_good_files(tmp_path_factory.mktemp("good"))


def test_every_bad_file_is_refused_in_one_sentence_that_names_it(
    bad_files: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = []
    for path in bad_files:
        start = time.perf_counter()
        try:
            picture = decode(path)
            wrong.append(f"{path.name}: read as {picture.size}")
        except PictureError as error:
            if not str(error).startswith(f"{path}: ") or "\n" in str(error) or not str(error).endswith("."):
                wrong.append(f"{path.name}: says {error}")
        if time.perf_counter() - start > 2:
            wrong.append(f"{path.name}: took too long")
    assert not wrong
    assert capfd.readouterr() == ("", "")


def test_every_bad_file_is_refused_from_memory_too(bad_files: list[Path]) -> None:
    for path in bad_files:
        with pytest.raises(PictureError, match=r"^this\."):
            decode(path.read_bytes(), name=f"this{path.suffix or '.file'}")


def test_bad_file_never_raises_anything_else_when_damage_is_accepted(bad_files: list[Path]) -> None:
    said = []
    for path in bad_files:
        try:
            decode(path, accept_damaged=True)
        except UpscalerError as error:
            said.append(str(error))
    assert len(said) > len(bad_files) / 2
    assert not [words for words in said if "`accept_damaged`" in words]


def test_every_good_file_is_read(good_files: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    for path in good_files:
        assert decode(path).size.pixels > 0, path.name
    assert capfd.readouterr().out == ""


def test_damage_is_found_behind_a_harmless_oddity() -> None:
    jpeg = file_of("jpg")
    odd = jpeg[:11] + b"\x09" + jpeg[12:]
    same(decode(odd).pixels, decode(jpeg).pixels)
    with pytest.raises(PictureError, match="cut short"):
        decode(odd[: len(odd) // 2])


@pytest.mark.parametrize("name", ["film.gif", "film.webp", "pages.tif"])
def test_further_frames_are_left_out_and_said_so(
    good_files: list[Path], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = next(path for path in good_files if path.name == name)
    with caplog.at_level(logging.WARNING, "upscaler"):
        picture = decode(path)
    assert picture.pixels.shape[:2] == (64, 96)
    assert [record.getMessage() for record in caplog.records if record.name == "upscaler"] == [
        f"{path}: there are 3 frames or pages; the first is used."
    ]


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "ppm", "psd", "tga"])
def test_what_could_be_read_of_a_damaged_file_is_used_on_request(suffix: str) -> None:
    whole = file_of(suffix)
    rows = decode(whole, name=f"a.{suffix}").pixels
    rest = decode(whole[: len(whole) * 3 // 4], name=f"a.{suffix}", accept_damaged=True).pixels
    assert rest.shape == rows.shape
    assert (rest == rows).mean() > 0.45


@pytest.mark.parametrize(
    ("suffix", "words"),
    [("jpg", "the file is cut short"), ("webp", "the file is damaged"), ("bmp", "the file is damaged")],
)
def test_damage_is_named_with_the_switch_that_accepts_it(suffix: str, words: str) -> None:
    with pytest.raises(PictureError) as caught:
        decode(file_of(suffix)[:2000], name="holiday")
    assert str(caught.value).startswith(f"holiday: {words} (")
    assert str(caught.value).endswith("`accept_damaged` uses what can be read.")


def test_bomb_is_refused_with_its_size_and_the_switch() -> None:
    with pytest.raises(PictureError) as caught:
        decode(file_of("png"), name="bomb.png", max_pixels=6143)
    assert str(caught.value) == (
        "bomb.png: 96x64 is 1 megapixels, over the limit of 0. If you trust the picture, raise `max_pixels`."
    )
    assert decode(file_of("png"), max_pixels=6144).size.pixels == 6144


@pytest.mark.parametrize("suffix", READABLE)
def test_bomb_is_refused_in_every_format(suffix: str) -> None:
    with pytest.raises(PictureError, match="raise `max_pixels`"):
        decode(file_of(suffix), name=f"bomb.{suffix}", max_pixels=1000)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none.jpg", "no such file"),
        (lambda folder: folder, "this is a folder, not a picture"),
    ],
    ids=["missing", "folder"],
)
def test_path_that_is_no_file_is_refused(tmp_path: Path, make: Any, words: str) -> None:
    path = make(tmp_path)
    with pytest.raises(PictureError) as caught:
        decode(path)
    assert str(caught.value) == f"{path}: {words}."


HEIC = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAaFtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAAAA"
    "AERAAAIAAQAAAAABxQABAAAAAAAAAGEAAgAAAAACJgABAAAAAAAAADYAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZl"
    "AgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA4GlwcnAAAADAaXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH/"
    "/wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaAggAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNj"
    "b2xybmNseAABAA0AAYAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAJaXJvdAMAAAAYaXBtYQAAAAAAAAABAAEFgQIDBIUA"
    "AAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAJ9tZGF0AAAAXSgBrxOAVWemqI///iP/X/reBP/mgZLBVP/y4QfeOcX/nnZKeEPNa2KDKFoXZzc0"
    "g4GP/TZPlXy4NUTvwPi9yyACrNw8S+ikP//IVZj9y63/6tgJpAqi4yZNH/nKoAAAAAZFeGlmAABNTQAqAAAACAACARAAAgAAAAYAAAAmARIAAwAA"
    "AAEABgAAAAAAAFBob25lAA=="
)
"""96x64 on its side, by HEVC: red, black, blue below; in base64."""


def test_hevc_picture_is_read_or_refused_for_what_is_lacking() -> None:
    """libvips' wheel has no HEVC decoder, a system's libvips and pillow-heif have."""
    try:
        picture = decode(base64.b64decode(HEIC), name="phone.heic")
    except PictureError as error:
        assert str(error) == (  # noqa: PT017
            "phone.heic: HEIC pictures need an HEVC decoder, which libvips was built without. "
            "Install pillow-heif, or convert it."
        )
        return
    assert picture.pixels.shape == (96, 64, 3)
    assert picture.pixels[5, -5].argmax() == 0
    assert picture.pixels[-5, 5].argmax() == 2
    assert b"Phone" in (picture.metadata.exif or b"")


@pytest.mark.parametrize(
    ("pixels", "tags", "words"),
    [
        (np.zeros((4, 4), np.float32), {}, "32-bit float pixels are not supported"),
        (np.zeros((4, 4), np.int32), {}, "32-bit whole numbers are not supported"),
        (np.zeros((4, 4, 6), np.uint8), {338: short(0, 0, 0)}, "6 channels are not supported"),
        (np.zeros((4, 4), np.uint8), {259: short(34925)}, "it is compressed in a way that cannot be read"),
    ],
    ids=["float", "int32", "six channels", "lzma"],
)
def test_pixels_of_an_unknown_kind_are_refused_by_name(pixels: Any, tags: Any, words: str) -> None:
    with pytest.raises(PictureError, match=rf"^scan\.tif: {words}.* Convert it first\.$"):
        decode(tiff(pixels, tags), name="scan.tif")


def test_two_reads_at_once_do_not_disturb_each_other() -> None:
    from concurrent.futures import ThreadPoolExecutor

    files = [(suffix, file_of(suffix)) for suffix in READABLE] * 3
    alone = [decode(data, name=f"a.{suffix}").pixels for suffix, data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda item: decode(item[1], name=f"a.{item[0]}").pixels, files))
    for one, other in zip(alone, together, strict=True):
        same(one, other)


def test_pillow_is_left_as_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import ImageFile

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12345)
    decode(file_of("bmp"), accept_damaged=True)
    with pytest.raises(PictureError):
        decode(file_of("bmp")[:500])
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (12345, False)


def test_file_looks_like_a_picture_by_content_or_name(tmp_path: Path) -> None:
    for name, data, wanted in (
        ("a.txt", file_of("png"), True),
        ("b.jpg", b"text", True),
        ("c.txt", b"text", False),
        ("d.tga", b"anything", True),
        ("e", b"", False),
    ):
        (tmp_path / name).write_bytes(data)
        assert looks_like_picture(tmp_path / name) is wanted, name


def test_long_values_of_a_tiff_are_no_trap() -> None:
    """Tags that lead out of the file, and directories that lead to themselves, cost nothing and break nothing."""
    wild = tiff(smooth(6, 4), {0x8769: long(2**31), 0x8825: long(16), 33723: (7, bytes(5)), 305: (2, b"x" * 9)})
    same(decode(wild).pixels, smooth(6, 4))
