"""Animations: read as viewers show them, and joined so that viewers show the same."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscaler.codecs import EncodeOptions, by_suffix, decode, encode, open_frames
from upscaler.codecs.png_texts import make_chunk
from upscaler.errors import OutputError, PictureError
from upscaler.picture import Picture

from . import animated
from .checks import off

SUFFIXES = ("gif", "webp", "png", "avif")

LOSS = {"gif": 3.0, "webp": 3.5, "png": 0.0, "avif": 3.0}
"""Of 255 levels on average, written as it is by default."""


def rejoin(source: Path, output: Path, folder: Path, **options: bool) -> None:
    """Keeps every frame as it is, and joins them again."""
    format, wanted = by_suffix(output.suffix), EncodeOptions(**options)
    assert format is not None
    folder.mkdir(exist_ok=True)
    with open_frames(source) as frames:
        assert frames is not None
        files = []
        for number in range(frames.count):
            suffix, keeping = frames.keep_as(number, format, wanted)
            files.append(folder / f"{number}{suffix}")
            encode(frames.read(number), files[-1], keeping)
        frames.check(format, wanted, output)
        frames.join(files, output, format, wanted)


@pytest.mark.parametrize("has_alpha", [False, True], ids=["opaque", "transparent"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_are_read_as_viewers_show_them(suffix: str, has_alpha: bool, tmp_path: Path) -> None:
    source = animated.animation(tmp_path / f"in.{suffix}", has_alpha)
    with open_frames(source) as frames:
        assert frames is not None
        assert (frames.count, frames.kind) == (5, "frames")
        for number, wanted in enumerate(animated.shown(source)):
            found = frames.read(number)
            assert found.pixels.shape[2] == (4 if has_alpha else 3)
            assert np.array_equal(found.pixels, wanted[:, :, : found.pixels.shape[2]])


@pytest.mark.parametrize("has_alpha", [False, True], ids=["opaque", "transparent"])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("plays", [0, 1, 3])
def test_what_is_joined_looks_the_same(suffix: str, has_alpha: bool, plays: int, tmp_path: Path) -> None:
    loop = {} if suffix == "avif" else {"loop": plays - (suffix == "gif" and plays > 0)}
    if suffix == "gif" and plays == 1:
        loop = {}
    source = animated.animation(tmp_path / f"in.{suffix}", has_alpha, **loop)
    rejoin(source, tmp_path / f"out.{suffix}", tmp_path / "kept")
    assert animated.facts(tmp_path / f"out.{suffix}") == animated.facts(source)
    pairs = list(zip(animated.shown(tmp_path / f"out.{suffix}"), animated.shown(source), strict=True))
    for found, wanted in pairs:
        assert off(found[:, :, 3], wanted[:, :, 3]) <= (0.5 if suffix == "avif" else 0)
        visible = wanted[:, :, 3] == 255
        assert off(found[visible][:, :3], wanted[visible][:, :3]) <= LOSS[suffix]


@pytest.mark.parametrize("output", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_an_animation_may_become_one_of_another_format(source: str, output: str, tmp_path: Path) -> None:
    loop = {} if source == "avif" else {"loop": 4 - (source == "gif")}
    animated.animation(tmp_path / f"in.{source}", **loop)
    rejoin(tmp_path / f"in.{source}", tmp_path / f"out.{output}", tmp_path / "kept")
    loops, durations = animated.facts(tmp_path / f"out.{output}")
    assert durations == animated.DURATIONS
    plays = 0 if source == "avif" else 4
    assert loops == (None if output == "avif" else plays - (output == "gif" and plays > 0))


def test_lossless_is_lossless(tmp_path: Path) -> None:
    source = animated.animation(tmp_path / "in.webp")
    rejoin(source, tmp_path / "out.webp", tmp_path / "kept", lossless=True)
    for found, wanted in zip(animated.shown(tmp_path / "out.webp"), animated.shown(source), strict=True):
        assert np.array_equal(found, wanted)


def test_avif_that_is_to_be_lossless_is_refused(tmp_path: Path) -> None:
    source = animated.animation(tmp_path / "in.avif")
    with pytest.raises(OutputError, match=r"AVIF animations are not lossless\. Choose \.webp or \.png"):
        rejoin(source, tmp_path / "out.avif", tmp_path / "kept", lossless=True)


def test_equal_frames_and_short_durations_stay(tmp_path: Path) -> None:
    """libvips gives frames of WebP that are shown for less than 10 ms 100, and libwebp joins equal ones."""
    images = [Image.fromarray(animated.frame(number // 2)) for number in range(6)]
    source = tmp_path / "in.png"
    images[0].save(source, save_all=True, append_images=images[1:], duration=[5, 8, 20, 1000, 40, 41])
    with open_frames(source) as frames:
        assert frames is not None
        count = frames.count  # Pillow joins equal ones as it writes
        durations = animated.facts(source)[1]
    rejoin(source, tmp_path / "out.webp", tmp_path / "kept")
    assert animated.facts(tmp_path / "out.webp")[1] == durations
    with open_frames(tmp_path / "out.webp") as frames:
        assert frames is not None
        assert frames.count == count


def test_metadata_and_profile_are_those_of_the_first_frame(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "a block that moves"
    for suffix in ("png", "webp", "avif"):
        source = animated.animation(tmp_path / f"in.{suffix}", exif=exif.tobytes(), icc_profile=profile)
        rejoin(source, tmp_path / f"out.{suffix}", tmp_path / "kept")
        with Image.open(tmp_path / f"out.{suffix}") as image:
            assert image.getexif()[0x010E] == "a block that moves", suffix
            assert image.info["icc_profile"] == profile


def test_the_still_picture_of_an_apng_is_no_frame(tmp_path: Path) -> None:
    images = [Image.fromarray(animated.frame(number)) for number in range(3)]
    still = Image.fromarray(255 - animated.frame(0))
    still.save(tmp_path / "in.png", save_all=True, append_images=images, default_image=True, duration=100)
    with open_frames(tmp_path / "in.png") as frames:
        assert frames is not None
        assert frames.count == 3
        assert np.array_equal(frames.read(0).pixels, animated.frame(0))


@pytest.mark.parametrize("suffix", ["png", "webp", "avif", "jpg", "bmp"])
def test_a_single_picture_has_no_frames(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(animated.frame(0)).save(tmp_path / f"in.{suffix}")
    with open_frames(tmp_path / f"in.{suffix}") as frames:
        assert frames is None


def test_a_gif_of_one_frame_is_an_animation_of_one(tmp_path: Path) -> None:
    """GIF is written as an animation only, and shall come back as GIF."""
    Image.fromarray(animated.frame(0)).save(tmp_path / "in.gif")
    rejoin(tmp_path / "in.gif", tmp_path / "out.gif", tmp_path / "kept")
    assert len(animated.shown(tmp_path / "out.gif")) == 1


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + make_chunk(b"IHDR", bytes(13)), b"hello"])
def test_what_cannot_be_read_is_left_to_the_reader_of_single_pictures(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "in.gif").write_bytes(content)
    with open_frames(tmp_path / "in.gif") as frames:
        assert frames is None


def test_too_large_a_canvas_is_refused_before_it_is_read(tmp_path: Path) -> None:
    source = animated.animation(tmp_path / "in.gif")
    with pytest.raises(PictureError, match=r"48x40 is 1 megapixels, over the limit"), open_frames(source, max_pixels=9):
        pass


def test_a_file_that_is_cut_short_says_which_frame(tmp_path: Path) -> None:
    source = animated.animation(tmp_path / "in.png")
    source.write_bytes(source.read_bytes()[:-150])
    with open_frames(source) as frames:
        assert frames is not None
        frames.read(2)
        with pytest.raises(PictureError, match=r"in\.png, frame 4: the file is damaged .* `accept_damaged` uses"):
            frames.read(3)


def test_frames_of_different_channels_become_alike(tmp_path: Path) -> None:
    """A frame that is grey, or opaque, is kept so; the animation has what all of them need."""
    source = animated.animation(tmp_path / "in.webp", has_alpha=True, count=3)
    files = []
    for number, channels in enumerate((1, 3, 4)):
        pixels = animated.frame(number, has_alpha=True)
        chosen = {1: pixels[:, :, :1], 3: pixels[:, :, :3], 4: pixels}[channels]
        files.append(tmp_path / f"{number}.png")
        encode(Picture(np.ascontiguousarray(chosen)), files[-1])
    format = by_suffix(".png")
    assert format is not None
    with open_frames(source) as frames:
        assert frames is not None
        frames.join(files, tmp_path / "out.png", format, EncodeOptions())
    first, second, third = animated.shown(tmp_path / "out.png")
    assert np.array_equal(first[:, :, :3], np.repeat(animated.frame(0)[:, :, :1], 3, axis=2))
    assert np.array_equal(second[:, :, :3], animated.frame(1))
    assert np.array_equal(third, animated.frame(2, has_alpha=True))


def chunks_of(content: bytes) -> Iterator[bytes]:
    at = 8
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : at + 8]
        at += size + 12


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    source = animated.animation(tmp_path / "in.png")
    rejoin(source, tmp_path / "out.png", tmp_path / "kept")
    content = (tmp_path / "out.png").read_bytes()
    kinds = list(chunks_of(content))
    assert kinds.count(b"fcTL") == 5
    assert kinds.index(b"acTL") < kinds.index(b"IDAT") < kinds.index(b"fdAT")
    single = io.BytesIO()
    Image.fromarray(animated.frame(0)).save(single, "PNG")
    assert len(content) < 4 * len(single.getvalue())


def with_another_primary_item(sequence: bytes, still: bytes) -> bytes:
    """An AVIF sequence whose primary item, which is its first frame, is the picture of another AVIF file instead."""
    (_, start, length), *_ = items(still)
    places = items(sequence)
    content = bytearray(sequence) + struct.pack(">I4s", 8 + length, b"mdat") + still[start : start + length]
    struct.pack_into(">II", content, places[0][0], len(sequence) + 8, length)
    return bytes(content)


def items(content: bytes) -> list[tuple[int, int, int]]:
    """Of each item of an AVIF file, where its place is stated, and its place and length (ISO 14496-12, `iloc`)."""
    at = content.index(b"iloc") + 8
    assert content[at : at + 2] == b"\x44\0"
    (count,) = struct.unpack_from(">H", content, at + 2)
    entries = [at + 4 + 14 * number + 6 for number in range(count)]
    return [(entry, *struct.unpack_from(">II", content, entry)) for entry in entries]


def test_the_major_brand_says_whether_avif_shows_its_frames_or_its_primary_item(tmp_path: Path) -> None:
    """The major brand is the best use of a file (ISO 14496-12, 4.3); libavif, by which browsers read it, decides so."""
    still = 255 - animated.frame(0)
    Image.fromarray(still).save(tmp_path / "still.avif", quality=95, subsampling="4:4:4")
    sequence = animated.animation(tmp_path / "in.avif").read_bytes()
    content = with_another_primary_item(sequence, (tmp_path / "still.avif").read_bytes())
    assert content[8:12] == b"avis"
    (tmp_path / "both.avif").write_bytes(content)
    assert off(decode(tmp_path / "both.avif").pixels, animated.frame(0)) < 5
    with open_frames(tmp_path / "both.avif") as frames:
        assert frames is not None
        assert frames.count == 5
    (tmp_path / "both.avif").write_bytes(content[:8] + b"avif" + content[12:])
    assert off(decode(tmp_path / "both.avif").pixels, still) < 5
    with open_frames(tmp_path / "both.avif") as frames:
        assert frames is None
