"""What is written: pixels, depth, alpha, profile and metadata as other programs read them; whole or not at all."""

from __future__ import annotations

import io
import logging
import os
import resource
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from upscaler.codecs import EncodeOptions, check, decode, encode, encode_stream
from upscaler.errors import OutputError
from upscaler.picture import Metadata, Picture
from upscaler.tiling import Size

from ..tiffs import smooth
from . import blocks, icc
from .checks import EXACT, WRITTEN, off, read_profile, seen, written


@pytest.mark.parametrize("profile", [False, True], ids=["bare", "profile"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_picture_is_written_as_its_format_can_hold_it(
    tmp_path: Path, suffix: str, depth: int, channels: int, profile: bool
) -> None:
    format = WRITTEN[suffix]
    own = (icc.GREY if channels <= 2 else icc.DISPLAY_P3) if profile else None
    pixels = smooth(60, 40, channels, depth)
    found = seen(written(Picture(pixels, own), tmp_path, suffix))

    alpha = channels in (2, 4) and format.writes_alpha
    colours = 1 if channels <= 2 and format.writes_grey else 3
    assert found.shape == (40, 60, colours + alpha)
    assert found.dtype == (np.uint16 if depth == 16 and format.writes_16_bits else np.uint8)

    kept = read_profile(tmp_path / f"out.{suffix}")
    converted = profile and (not format.writes_profile or (channels <= 2 and not format.writes_grey))
    assert kept == (None if converted else own)
    wanted = pixels
    if converted:
        colour = wanted[:, :, :-1] if channels in (2, 4) else wanted
        rest = wanted[:, :, -1:] if channels in (2, 4) else wanted[:, :, :0]
        new = icc.in_srgb(np.ascontiguousarray(colour), own or b"")[:, :, : colour.shape[2]]
        wanted = np.concatenate([new.astype(pixels.dtype), rest], 2)
    if channels in (2, 4) and not format.writes_alpha:
        part = wanted / np.iinfo(wanted.dtype).max
        part = part[:, :, :-1] * part[:, :, -1:] + 1 - part[:, :, -1:]
        wanted = np.rint(part * 65535).astype(np.uint16)
    if wanted.shape[2] != found.shape[2]:
        wanted = np.concatenate([wanted[:, :, :1]] * 3 + [wanted[:, :, 1:]], 2)
    assert off(found, wanted) <= (0.51 if suffix in EXACT else 3)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", ["png", "tif", "ppm"])
def test_lossless_formats_lose_nothing(tmp_path: Path, suffix: str, depth: int) -> None:
    pixels = np.random.default_rng(5).integers(0, 2**depth, (33, 47, 3)).astype(np.uint16 if depth == 16 else np.uint8)
    np.testing.assert_array_equal(decode(written(Picture(pixels), tmp_path, suffix)).pixels, pixels)


def test_lossless_webp_and_avif_lose_nothing(tmp_path: Path) -> None:
    pixels = smooth(60, 40)
    for suffix in ("webp", "avif"):
        found = seen(written(Picture(pixels), tmp_path, suffix, lossless=True))
        assert np.abs(found.astype(int) - pixels).max() <= (1 if suffix == "avif" else 0), suffix


@pytest.mark.parametrize("suffix", WRITTEN)
def test_strip_leaves_the_pixels_and_the_profile(tmp_path: Path, enlarged: dict[str, Picture], suffix: str) -> None:
    picture = replace(enlarged["jpg"], metadata=replace(enlarged["jpg"].metadata, comments={"parameters": "secret"}))
    plain = written(replace(picture, metadata=Metadata()), tmp_path, suffix).read_bytes()
    path = written(picture, tmp_path, suffix, strip=True)
    assert path.read_bytes() == plain
    assert read_profile(path) == (icc.DISPLAY_P3 if WRITTEN[suffix].writes_profile else None)


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("kept", ["exif", "xmp", "iptc", "dpi", "comments"])
def test_table_of_formats_tells_what_is_kept(
    tmp_path: Path, enlarged: dict[str, Picture], suffix: str, kept: str
) -> None:
    metadata = replace(enlarged["jpg"].metadata, comments={"parameters": "a cat"})
    alone = Metadata(**{kept: getattr(metadata, kept)})
    path = written(Picture(smooth(80, 120), metadata=alone), tmp_path, suffix)
    assert bool(getattr(decode(path).metadata, kept)) == (kept in WRITTEN[suffix].metadata)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_what_is_left_out_is_said(
    tmp_path: Path, enlarged: dict[str, Picture], suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    fields = {"exif", "xmp", "iptc", "dpi", "comments"} - WRITTEN[suffix].metadata
    picture = replace(enlarged["jpg"], metadata=replace(enlarged["jpg"].metadata, comments={"parameters": "a cat"}))
    with caplog.at_level(logging.INFO, "upscaler"):
        written(replace(picture, name="p.jpg"), tmp_path, suffix)
    said = [record.getMessage() for record in caplog.records if "has no place for" in record.getMessage()]
    assert len(said) == bool(fields)
    assert all(field in said[0] for field in fields)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
def test_quality_changes_the_size(tmp_path: Path, suffix: str) -> None:
    photo = Picture(np.random.default_rng(6).integers(0, 256, (64, 64, 3), np.uint8))
    sizes = [written(photo, tmp_path, suffix, quality=quality).stat().st_size for quality in (20, 60, 98)]
    assert sizes == sorted(sizes)
    assert sizes[2] > 2 * sizes[0]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_compression_changes_the_size_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    photo = Picture(smooth(200, 200))
    sizes = []
    for compression in (0, 1, 9):
        path = written(photo, tmp_path, suffix, compression=compression)
        sizes.append(path.stat().st_size)
        np.testing.assert_array_equal(seen(path), photo.pixels)
    assert sizes[0] > 200 * 200 * 3
    assert sizes[2] <= sizes[1] < sizes[0]


def test_transparency_on_white_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    with caplog.at_level(logging.WARNING, "upscaler"):
        path = written(Picture(pixels, name="logo.png"), tmp_path, "jpg")
    assert seen(path).min() >= 250
    assert "logo.png: JPEG has no transparency; the picture is laid on white." in caplog.text


def test_existing_output_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError) as caught:
        encode(Picture(smooth(6, 4)), path)
    assert str(caught.value) == f"{path}: exists already. Use `overwrite` to replace it."
    assert path.read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["photo.png"]
    encode(Picture(smooth(6, 4)), path, EncodeOptions(overwrite=True))
    assert decode(path).size == Size(6, 4)


def test_output_that_appears_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from upscaler.codecs import vips

    path = tmp_path / "photo.png"
    write = vips.write

    def slow(*arguments: Any) -> None:
        write(*arguments)
        path.write_bytes(b"theirs")

    monkeypatch.setattr(vips, "write", slow)
    with pytest.raises(OutputError, match=r"photo\.png: exists already"):
        encode(Picture(smooth(6, 4)), path)
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["photo.png"]


@pytest.mark.parametrize("hard_links", [True, False])
def test_only_one_of_many_writers_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool) -> None:
    if not hard_links:
        monkeypatch.setattr(os, "link", _no_links)
    path = tmp_path / "photo.png"
    failures = []

    def attempt(number: int) -> None:
        try:
            encode(Picture(np.full((200, 200, 3), number, np.uint8)), path)
        except OutputError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("exists already" in failure for failure in failures)
    assert len(failures) == 5 or not hard_links  # without hard links two may slip through together
    assert len(np.unique(seen(path))) == 1
    assert os.listdir(tmp_path) == ["photo.png"]


def _no_links(*_: Any) -> None:
    raise OSError("no hard links here")


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif", "bmp", "ppm"])
def test_full_disk_leaves_no_file(tmp_path: Path, suffix: str) -> None:
    noise = Picture(np.random.default_rng(7).integers(0, 256, (300, 300, 3), np.uint8))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(OutputError) as caught:
            encode(noise, tmp_path / f"photo.{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value).startswith(f"{tmp_path / 'photo'}.{suffix}: cannot be written")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_interruption_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    from upscaler.codecs import vips

    def interrupted(picture: Picture, path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(vips, "write", interrupted)
    with pytest.raises(error):
        encode(Picture(smooth(6, 4)), tmp_path / "photo.png")
    assert os.listdir(tmp_path) == []


def test_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "photo.png"
    encode(Picture(smooth(6, 4)), path)
    assert decode(path).size == Size(6, 4)


@pytest.mark.parametrize(
    ("path", "size", "words"),
    [
        ("photo.xyz", Size(6, 4), "no format is known for '.xyz'. Choose one of .jpg, .png, .webp, .tif, .avif, .bmp"),
        ("photo", Size(6, 4), "no format is known for ''. Choose one of .jpg"),
        ("photo.heic", Size(6, 4), "HEIF cannot be written. Choose one of .jpg"),
        ("photo.gif", Size(6, 4), "GIF cannot be written. Choose one of .jpg"),
        ("photo.jpg", Size(65501, 4), "65501x4 is too large for JPEG, which holds 65500 pixels a side. Choose .png or"),
        ("photo.webp", Size(4, 16384), "4x16384 is too large for WEBP, which holds 16383 pixels a side."),
        ("folder.png", Size(6, 4), "this is a folder. Name a file."),
    ],
)
def test_output_that_cannot_be_is_refused_beforehand(tmp_path: Path, path: str, size: Size, words: str) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError) as caught:
        check(tmp_path / path, EncodeOptions(), size)
    assert str(caught.value).startswith(f"{tmp_path / path}: {words}")


@pytest.mark.parametrize(("suffix", "side"), [("jpg", 65500), ("webp", 16383), ("avif", 16384), ("bmp", 32767)])
def test_largest_side_of_the_table_can_be_written(tmp_path: Path, suffix: str, side: int) -> None:
    path = written(Picture(np.zeros((2, side, 3), np.uint8)), tmp_path, suffix)
    assert decode(path).size == Size(side, 2)


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "photo.png"
    with pytest.raises(OutputError) as caught:
        encode(Picture(smooth(6, 4)), path)
    assert str(caught.value) == f"{path}: cannot be written ({path.parent} is a file)."


@pytest.mark.parametrize("suffix", WRITTEN)
def test_stream_gets_the_same_bytes_as_a_file(tmp_path: Path, enlarged: dict[str, Picture], suffix: str) -> None:
    stream = io.BytesIO()
    encode_stream(enlarged["jpg"], stream, EncodeOptions(WRITTEN[suffix]))
    assert stream.getvalue() == written(enlarged["jpg"], tmp_path, suffix).read_bytes()


def test_turned_and_mapped_pixels_are_written_as_they_are(tmp_path: Path) -> None:
    stored = smooth(60, 40)
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=stored.shape)
    mapped[:] = stored
    for orientation in range(1, 9):
        pixels = blocks.turned(mapped, orientation)
        np.testing.assert_array_equal(seen(written(Picture(pixels), tmp_path, "png")), pixels)


@pytest.mark.skipif(os.name == "nt", reason="there are no limits of files")
@pytest.mark.parametrize("suffix", WRITTEN)
def test_writing_ends_when_the_disk_is_full(tmp_path: Path, suffix: str) -> None:
    """In a process of its own, whose files may not grow: JPEG 2000 tried for ever."""
    program = f"""
import resource, signal
import numpy as np
from upscaler import OutputError, Picture
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
noise = np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    Picture(noise).save("out.{suffix}")
except OutputError as error:
    print(error)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith(f"out.{suffix}: cannot be written as ")
    assert list(tmp_path.iterdir()) == []


def test_lossless_says_what_the_format_cannot_hold(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    deep = Picture(np.full((4, 6, 3), 12345, np.uint16))
    for name, rounded in (("a.webp", True), ("a.png", False)):
        caplog.clear()
        encode(deep, tmp_path / name, EncodeOptions(lossless=True))
        assert ("holds 8 bits a sample; the 16 of the picture are rounded" in caplog.text) is rounded


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
def test_a_largest_size_gives_the_best_quality_that_fits(tmp_path: Path, suffix: str) -> None:
    picture = Picture(smooth(160, 120, 3, 8) // 2 + np.random.default_rng(0).integers(0, 90, (120, 160, 3), np.uint8))
    sizes = {}
    for quality in (20, 60, 65, 100):
        encode(picture, tmp_path / f"{quality}.{suffix}", EncodeOptions(quality=quality))
        sizes[quality] = (tmp_path / f"{quality}.{suffix}").stat().st_size
    for most, expected in ((sizes[60], 60), (sizes[20], 20), (sizes[100], 100), (10**9, 100)):
        encode(picture, tmp_path / f"found.{suffix}", EncodeOptions(max_size=most, overwrite=True))
        assert (tmp_path / f"found.{suffix}").read_bytes() == (tmp_path / f"{expected}.{suffix}").read_bytes()
    encode(picture, tmp_path / f"found.{suffix}", EncodeOptions(max_size=sizes[65] - 1, overwrite=True))
    assert sizes[60] <= (tmp_path / f"found.{suffix}").stat().st_size < sizes[65]
    encode(picture, tmp_path / f"found.{suffix}", EncodeOptions(max_size=10**9, quality=65, overwrite=True))
    assert (tmp_path / f"found.{suffix}").read_bytes() == (tmp_path / f"65.{suffix}").read_bytes()


def test_a_picture_that_does_not_fit_with_the_lowest_quality_is_not_written(tmp_path: Path) -> None:
    picture = Picture(np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8))
    with pytest.raises(OutputError, match=r"x\.jpg: even with quality 20 it takes [\d,]+ bytes, and may take 1,000\."):
        encode(picture, tmp_path / "x.jpg", EncodeOptions(max_size=1000))
    with pytest.raises(OutputError, match=r"^stream: even with quality 7 it takes"):
        encode_stream(picture, io.BytesIO(), EncodeOptions(max_size=10, quality=7, format=WRITTEN["jpg"]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("x.png", {}, "PNG has no quality"),
        ("x.tif", {}, "TIFF has no quality"),
        ("x.webp", {"lossless": True}, "what is lossless has no quality"),
    ],
)
def test_a_largest_size_is_refused_beforehand_where_there_is_no_quality(
    tmp_path: Path, name: str, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(OutputError, match=rf"{name}: {reason} to lower for its size. Choose \.jpg"):
        check(tmp_path / name, EncodeOptions(max_size=10**6, **options), Size(4, 4))
