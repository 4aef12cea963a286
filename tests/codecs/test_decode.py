"""What is read: pixels as they are to be seen, alpha, depth, profile, metadata; and what is refused, and how."""

from __future__ import annotations

import io
import logging
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from upscaler.codecs import decode, looks_like_picture
from upscaler.errors import PictureError, UpscalerError

from ..bad_files import READABLE, file_of, gradient, make_bad_files, make_good_files, saved
from ..tiffs import long, raw, short, smooth, structure, tiff
from . import blocks, icc
from .checks import DEPTHS, ORIENTATIONS, close, same


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


def test_resolution_turns_with_the_picture() -> None:
    block = structure({274: short(6), 282: (5, (300, 1)), 283: (5, (150, 1)), 296: short(2)})
    picture = decode(blocks.jpeg_with(smooth(60, 40), {b"Exif\0\0" + block: 0xE1}))
    assert picture.metadata.dpi == (150, 300)


def test_resolution_that_is_not_stated_is_none() -> None:
    for suffix in ("jpg", "png", "tif", "webp", "avif"):
        assert decode(file_of(suffix)).metadata.dpi is None, suffix


@pytest.mark.parametrize("source", [None, 3, 2.5, ["a.jpg"], {"a": 1}])
def test_source_of_another_type_is_refused(source: Any) -> None:
    with pytest.raises(PictureError, match="Pass a path, bytes, an open file, a Pillow image"):
        decode(source)


def test_bytes_path_and_text_are_the_same_picture(tmp_path: Path) -> None:
    path = tmp_path / "Ünïcode 写真 [1].jpg"
    path.write_bytes(file_of("jpg"))
    for source in (path, str(path), path.read_bytes()):
        same(decode(source).pixels, decode(file_of("jpg")).pixels)


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


@pytest.mark.parametrize(
    "name", ["film.gif", "film.webp", "film.png", "film behind a still.png", "film.avif", "pages.tif"]
)
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
    with Image.open(path) as first:
        close(picture.pixels[:, :, :3], np.asarray(first.convert("RGB")), 0.5)


def two_pages(one: Any, two: Any, kind: int, other_kind: int) -> bytes:
    """A TIFF file of two directories of these kinds."""
    data = one.tobytes() + two.tobytes()
    first, second = (
        dict(zip((256, 257, 278, 254), map(long, (width, height, height, number)), strict=True))
        | {258: short(8, 8, 8), 259: short(1), 262: short(2), 277: short(3), 273: long(at), 279: long(size)}
        for (height, width, _), number, at, size in (
            (one.shape, kind, 16, one.size),
            (two.shape, other_kind, 16 + one.size, two.size),
        )
    )
    return structure(first, data=data, next_tags=second)


def test_smaller_versions_and_masks_in_a_tiff_are_no_pages(caplog: pytest.LogCaptureFixture) -> None:
    large, small = smooth(60, 40), smooth(15, 10)
    thumbnail_first = two_pages(small, large, 1, 0)
    thumbnail_behind = two_pages(large, small, 0, 5)
    with caplog.at_level(logging.WARNING, "upscaler"):
        same(decode(thumbnail_first).pixels, large)
        same(decode(thumbnail_behind).pixels, large)
    assert not caplog.records


def test_what_an_avif_animation_shows_first_is_its_first_frame() -> None:
    """In place of its primary item, which may be another picture, or one that libheif reads wrongly."""
    frames = [Image.fromarray(smooth(64, 48)), Image.new("RGB", (64, 48), "red")]
    content = saved(frames[0], "AVIF", save_all=True, append_images=frames[1:], quality=100)
    sizes = struct.unpack_from(">II", content, content.index(b"stsz") + 16)
    at = content.index(b"stco") + 12
    (start,) = struct.unpack_from(">I", content, at)
    item = struct.pack(">II", start, sizes[0])
    assert content.count(item) == 1
    other = content.replace(item, struct.pack(">II", start + sizes[0], sizes[1]))
    close(decode(content).pixels, smooth(64, 48), 1.5)
    same(decode(other).pixels, decode(content).pixels)


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
