"""What is written: pixels, depth, alpha, profile and metadata as other programs read them; whole or not at all."""

from __future__ import annotations

import io
import logging
import os
import resource
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image, IptcImagePlugin

from upscaler.codecs import FORMATS, EncodeOptions, check, decode, encode, encode_stream
from upscaler.errors import OutputError
from upscaler.picture import Metadata, Picture
from upscaler.tiling import Size

from ..tiffs import smooth
from . import blocks, icc

WRITTEN = {format.suffixes[0][1:]: format for format in FORMATS if format.writer}
PHOTO = ("jpg", "png", "webp", "tif", "avif")
EXACT = ("png", "tif", "bmp", "jp2", "ppm", "tga")


def written(picture: Picture, folder: Path, suffix: str, **options: Any) -> Path:
    path = folder / f"out.{suffix}"
    encode(picture, path, EncodeOptions(overwrite=True, **options))
    return path


def seen(path: Path) -> NDArray[Any]:
    """The pixels of a file, by libvips or Pillow and not by us, with as many channels as it has."""
    if WRITTEN[path.suffix[1:]].writer == "vips":
        return np.atleast_3d(by_vips(path).numpy())
    if path.suffix == ".ppm":  # of which Pillow reads 8 bits
        pixels = np.atleast_3d(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        return pixels[:, :, ::-1]
    with Image.open(path) as image:
        return np.atleast_3d(np.asarray(image))


def by_vips(path: Path) -> pyvips.Image:
    """Not by its name: libvips remembers what it has read under one."""
    return pyvips.Image.new_from_buffer(path.read_bytes(), "")


def off(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """How far from each other, on average, in 8-bit levels."""
    top, full = np.iinfo(found.dtype).max, np.iinfo(wanted.dtype).max
    return float(np.abs(found / top - wanted / full).mean() * 255)


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

    alpha = channels in (2, 4) and format.alpha
    colours = 1 if channels <= 2 and format.grey else 3
    assert found.shape == (40, 60, colours + alpha)
    assert found.dtype == (np.uint16 if depth == 16 and format.sixteen else np.uint8)

    kept = read_profile(tmp_path / f"out.{suffix}")
    converted = profile and (not format.profile or (channels <= 2 and not format.grey))
    assert kept == (None if converted else own)
    wanted = pixels
    if converted:
        colour = wanted[:, :, :-1] if channels in (2, 4) else wanted
        rest = wanted[:, :, -1:] if channels in (2, 4) else wanted[:, :, :0]
        new = icc.in_srgb(np.ascontiguousarray(colour), own or b"")[:, :, : colour.shape[2]]
        wanted = np.concatenate([new.astype(pixels.dtype), rest], 2)
    if channels in (2, 4) and not format.alpha:
        part = wanted / np.iinfo(wanted.dtype).max
        part = part[:, :, :-1] * part[:, :, -1:] + 1 - part[:, :, -1:]
        wanted = np.rint(part * 65535).astype(np.uint16)
    if wanted.shape[2] != found.shape[2]:
        wanted = np.concatenate([wanted[:, :, :1]] * 3 + [wanted[:, :, 1:]], 2)
    assert off(found, wanted) <= (0.51 if suffix in EXACT else 3)


def read_profile(path: Path) -> bytes | None:
    if WRITTEN[path.suffix[1:]].writer == "vips":
        image = by_vips(path)
        return bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else None
    with Image.open(path) as picture:
        profile: bytes | None = picture.info.get("icc_profile")
    return profile


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


def test_16_bit_avif_has_12_bits_and_comes_back_close(tmp_path: Path) -> None:
    pixels = smooth(60, 40, 3, 16)
    path = written(Picture(pixels), tmp_path, "avif", quality=95)
    assert by_vips(path).get("bits-per-sample") == 12
    back = decode(path).pixels
    assert back.dtype == np.uint16
    assert off(back, pixels) < 0.5
    assert (int(back[0, 0].max()), int(back[-1, -1].min())) == pytest.approx((0, 65535), abs=700)


@pytest.mark.parametrize("suffix", PHOTO)
@pytest.mark.parametrize("profile", [icc.DISPLAY_P3, icc.ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
def test_wide_colours_keep_their_appearance(tmp_path: Path, profile: bytes, suffix: str) -> None:
    pixels = smooth(60, 40)
    source = tmp_path / "source.png"
    source.write_bytes(blocks.png_of(pixels, profile))
    path = written(decode(source), tmp_path, suffix)
    kept = read_profile(path)
    assert kept == profile
    before, after = icc.in_srgb(pixels, profile), icc.in_srgb(seen(path), kept or b"")
    assert np.abs(before - pixels).mean() > 3  # without its profile it would look otherwise
    assert np.abs(before - after).mean() < 2


@pytest.mark.parametrize("suffix", ["bmp", "jp2", "ppm", "tga"])
def test_wide_colours_keep_their_appearance_without_a_profile(tmp_path: Path, suffix: str) -> None:
    pixels = smooth(60, 40)
    path = written(Picture(pixels, icc.ADOBE_RGB), tmp_path, suffix)
    assert np.abs(seen(path).astype(int) - icc.in_srgb(pixels, icc.ADOBE_RGB)).max() <= 1


@pytest.mark.parametrize("keep", [128, 200, 300])
@pytest.mark.parametrize("profile", [icc.GREY, icc.ADOBE_RGB], ids=["grey", "rgb"])
def test_damaged_profile_counts_as_srgb_where_it_must_be_used(tmp_path: Path, profile: bytes, keep: int) -> None:
    pixels = smooth(60, 40, 1 if profile is icc.GREY else 3)
    broken = profile[:keep] + bytes(max(len(profile) - keep, 0))
    assert off(seen(written(Picture(pixels, broken), tmp_path, "bmp")), pixels) < 0.5


# ---------------------------------------------------------------- metadata


@pytest.fixture(scope="module")
def enlarged() -> dict[str, Picture]:
    """Files with everything, on their side, read and enlarged twice: sources by suffix."""
    result = {}
    for suffix in PHOTO:
        picture = decode(blocks.file_with_all(suffix, smooth(60, 40), icc.DISPLAY_P3, 6))
        pixels = picture.pixels.repeat(2, 0).repeat(2, 1)
        result[suffix] = replace(picture, pixels=pixels, metadata=picture.metadata.put_right(Size(80, 120)))
    return result


@pytest.mark.parametrize("suffix", PHOTO)
@pytest.mark.parametrize("source", PHOTO)
def test_exif_survives_and_is_put_right(tmp_path: Path, enlarged: dict[str, Picture], source: str, suffix: str) -> None:
    path = written(enlarged[source], tmp_path, suffix)
    with Image.open(path) as image:
        exif = image.getexif()
        details, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        assert image.size == (80, 120)
    assert exif.get(0x0112, 1) == 1
    assert (exif[0x010F], exif[0x0110]) == ("NIKON CORPORATION", "NIKON Z 8")
    assert (exif[0x013B], exif[0x8298], exif[0x4746]) == (blocks.AUTHOR, "(c) Ann", 5)
    assert details[0x829A] == 1 / 250
    assert (details[0x9003], details[0x9011]) == ("2024:01:02 03:04:05", "+01:00")
    assert details[0x9204] == pytest.approx(-1 / 3)
    assert details[0x927C] == blocks.MAKER_NOTE
    assert details[0xA434] == "NIKKOR Z 24-70mm f/2.8 S"
    assert tuple(float(value) for value in details[0xA432]) == pytest.approx((24, 70, 2.8, 4))
    assert (details[0xA002], details[0xA003]) == (80, 120)
    assert (place[1], place[2], place[3], place[4]) == ("N", (52, 31, 12.5), "E", (13, 24, 1))
    assert place[0] == b"\2\3\0\0"
    assert blocks.THUMBNAIL not in path.read_bytes()
    assert not exif.get_ifd(1)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif"])
@pytest.mark.parametrize("source", ["jpg", "png", "webp"])
def test_exif_keeps_its_bytes_so_that_the_maker_can_read_them(
    tmp_path: Path, enlarged: dict[str, Picture], source: str, suffix: str
) -> None:
    """A MakerNote counts from the beginning of the block. A TIFF's block is the whole file, so there it must move."""
    block = enlarged[source].metadata.exif
    assert block is not None
    original = blocks.exif(60, 40, 6)
    assert block.index(blocks.MAKER_NOTE) == original.index(blocks.MAKER_NOTE)
    assert block in written(enlarged[source], tmp_path, suffix).read_bytes()


@pytest.mark.parametrize("suffix", PHOTO)
@pytest.mark.parametrize("source", PHOTO)
def test_xmp_survives_and_is_put_right(tmp_path: Path, enlarged: dict[str, Picture], source: str, suffix: str) -> None:
    path = written(enlarged[source], tmp_path, suffix)
    packet = bytes(by_vips(path).get("xmp-data"))
    wanted = blocks.xmp(60, 40, 6).decode()
    for old, new in (
        ('tiff:Orientation="6"', 'tiff:Orientation="1"'),
        ('tiff:ImageWidth="60"', 'tiff:ImageWidth="80"'),
        ("<exif:PixelXDimension>60<", "<exif:PixelXDimension>80<"),
        ("<exif:PixelYDimension>40<", "<exif:PixelYDimension>120<"),
        ("<xmp:Thumbnails><rdf:Alt><rdf:li>/9j/old</rdf:li></rdf:Alt></xmp:Thumbnails>", ""),
    ):
        assert old in wanted
        wanted = wanted.replace(old, new)
    assert packet.decode() == wanted


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
@pytest.mark.parametrize("source", ["jpg", "tif", "png"])
def test_iptc_survives(tmp_path: Path, enlarged: dict[str, Picture], source: str, suffix: str) -> None:
    path = written(enlarged[source], tmp_path, suffix)
    if suffix == "png":  # Pillow does not know this place; ImageMagick's notation is documented by exiftool
        with Image.open(path) as image:
            _, label, size, digits = image.info["Raw profile type iptc"].split("\n")[:4]
        assert (label, int(size)) == ("iptc", len(digits) // 2)
        assert blocks.iptc() in bytes.fromhex(digits)
        return
    with Image.open(path) as image:
        records: Any = IptcImagePlugin.getiptcinfo(image)
    title, author, city = blocks.TITLE.encode(), blocks.AUTHOR.encode(), blocks.CITY.encode()
    assert (records[2, 5], records[2, 80], records[2, 90]) == (title, author, city)


@pytest.mark.parametrize("suffix", PHOTO)
def test_profile_survives_to_the_byte(tmp_path: Path, enlarged: dict[str, Picture], suffix: str) -> None:
    for source in PHOTO:
        assert read_profile(written(enlarged[source], tmp_path, suffix)) == icc.DISPLAY_P3, source


@pytest.mark.parametrize("suffix", [suffix for suffix, format in WRITTEN.items() if "dpi" in format.metadata])
@pytest.mark.parametrize("exif", [False, True], ids=["alone", "beside EXIF without one"])
def test_resolution_survives(tmp_path: Path, suffix: str, exif: bool) -> None:
    block = blocks.structure({0x0110: blocks.text("NIKON Z 8")}) if exif else None
    path = written(Picture(smooth(60, 40), metadata=Metadata(block, dpi=(300, 150))), tmp_path, suffix)
    assert decode(path).metadata.dpi == pytest.approx((300, 150), abs=0.1)
    with Image.open(path) as image:
        if suffix in ("webp", "avif"):
            across, down, unit = (image.getexif()[tag] for tag in (0x011A, 0x011B, 0x0128))
            assert (across, down, unit) == (300, 150, 2)
        else:
            assert image.info["dpi"] == pytest.approx((300, 150), abs=0.1)
        if exif and "exif" in WRITTEN[suffix].metadata:
            assert image.getexif()[0x0110] == "NIKON Z 8"


@pytest.mark.parametrize("suffix", PHOTO)
def test_nothing_is_made_up(tmp_path: Path, suffix: str) -> None:
    """libvips on its own writes a version, a colour space and a resolution that no one has stated."""
    path = written(Picture(smooth(60, 40)), tmp_path, suffix)
    with Image.open(path) as image:
        assert not image.getexif() or suffix == "tif"
        assert not image.getexif().get_ifd(0x8769)
        assert {"exif", "xmp", "icc_profile", "photoshop", "comment"}.isdisjoint(image.info)


def test_texts_of_a_png_survive(tmp_path: Path) -> None:
    texts = {"parameters": "a cat, steps: 20", "Autorü": "Müller", "Titel": "漢字\nzwei", "long": "x" * 70000}
    path = written(Picture(smooth(6, 4), metadata=Metadata(comments=texts)), tmp_path, "png")
    with Image.open(path) as image:
        image.load()
        assert dict(image.text) == texts
    assert decode(path).metadata.comments == texts


@pytest.mark.parametrize("suffix", WRITTEN)
def test_strip_leaves_the_pixels_and_the_profile(tmp_path: Path, enlarged: dict[str, Picture], suffix: str) -> None:
    picture = replace(enlarged["jpg"], metadata=replace(enlarged["jpg"].metadata, comments={"parameters": "secret"}))
    plain = written(replace(picture, metadata=Metadata()), tmp_path, suffix).read_bytes()
    path = written(picture, tmp_path, suffix, strip=True)
    assert path.read_bytes() == plain
    assert read_profile(path) == (icc.DISPLAY_P3 if WRITTEN[suffix].profile else None)


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


@pytest.mark.parametrize("suffix", PHOTO)
@pytest.mark.parametrize("block", [b"garbage" * 10, b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"])
def test_exif_that_is_none_is_left_out(tmp_path: Path, suffix: str, block: bytes) -> None:
    path = written(Picture(smooth(6, 4), metadata=Metadata(exif=block)), tmp_path, suffix)
    assert seen(path).shape[:2] == (4, 6)
    with Image.open(path) as image:
        assert "exif" not in image.info


@pytest.mark.parametrize("suffix", PHOTO)
@pytest.mark.parametrize("kind", ["exif", "xmp", "iptc"])
def test_metadata_too_long_for_its_format_never_breaks_the_file(tmp_path: Path, suffix: str, kind: str) -> None:
    long = {
        "exif": blocks.structure({0x0110: blocks.text("x" * 100_000)}),
        "xmp": b"<x>" + b"a" * 100_000 + b"</x>",
        "iptc": blocks.iptc() + b"\x1c\2\x78\x7f\xff" + b"a" * 0x7FFF + b"\x1c\2\x78\x7f\xff" + b"a" * 0x7FFF,
    }
    path = written(Picture(smooth(60, 40), metadata=Metadata(**{kind: long[kind]})), tmp_path, suffix)
    assert off(seen(path), smooth(60, 40)) < 3
    assert decode(path).size == Size(60, 40)


def test_metadata_too_long_for_its_format_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metadata = Metadata(exif=blocks.structure({0x0110: blocks.text("x" * 100_000)}), xmp=b"<x>" + b"a" * 100_000)
    with caplog.at_level(logging.WARNING, "upscaler"):
        written(Picture(smooth(6, 4), metadata=metadata), tmp_path, "jpg")
        written(Picture(smooth(6, 4), metadata=metadata), tmp_path, "webp")
    for words in ("the EXIF block of", "the XMP block of"):
        assert words in caplog.text
    assert caplog.text.count("it is left out") == 3


# ---------------------------------------------------------------- options


def _coding(path: Path) -> int:
    """Bytes of a JPEG's quantisation of the first coefficient, its finest."""
    with Image.open(path) as image:
        tables: Any = image.quantization
    return int(tables[0][0])


def test_quality_of_jpeg_is_95_with_full_colour_by_default(tmp_path: Path) -> None:
    photo = Picture(np.random.default_rng(6).integers(0, 256, (64, 64, 3), np.uint8))
    sampling = {}
    for quality in (None, 95, 90, 89, 50):
        path = written(photo, tmp_path, "jpg", quality=quality)
        sampling[quality] = by_vips(path).get("jpeg-chroma-subsample")
        if quality in (None, 95):
            assert _coding(path) == 2
    assert sampling == {None: "4:4:4", 95: "4:4:4", 90: "4:4:4", 89: "4:2:0", 50: "4:2:0"}


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


# ---------------------------------------------------------------- whole or not at all


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


@pytest.mark.parametrize("name", ["写" * 80 + ".png", "x" * 240 + ".png", "[1] {2} %d *?.png", "- leading.png"])
def test_long_and_odd_names_are_written(tmp_path: Path, name: str) -> None:
    encode(Picture(smooth(6, 4)), tmp_path / name)
    assert os.listdir(tmp_path) == [name]


def test_name_that_is_no_text_is_written(tmp_path: Path) -> None:
    path = Path(str(tmp_path) + "/\udcff.avif")
    try:
        encode(Picture(smooth(60, 40), metadata=Metadata(blocks.exif(60, 40))), path)
    except OutputError:
        pytest.skip("this file system has only Unicode names")
    assert decode(path).size == Size(60, 40)


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
