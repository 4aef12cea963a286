"""TIFF files of several pages: each read by itself, and joined as each was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscaler.codecs import EncodeOptions, by_suffix, decode, open_frames, tiff_exif
from upscaler.errors import OutputError
from upscaler.picture import Picture

from . import animated
from .test_animations import rejoin


def tags(path: Path, tag: int) -> list[object]:
    found = []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append(image.tag_v2.get(tag))  # type: ignore[attr-defined]
    return found


def test_pages_are_read_each_with_its_own_size_resolution_and_title(tmp_path: Path) -> None:
    source = animated.document(tmp_path / "in.tif")
    before = source.read_bytes()
    with open_frames(source) as pages:
        assert pages is not None
        assert (pages.count, pages.kind) == (3, "pages")
        found = [pages.read(number) for number in (2, 0, 1)]
    assert [str(each.size) for each in found] == ["48x40", "48x40", "30x20"]
    assert [each.metadata.dpi for each in found] == [(300, 300), (100, 100), (200, 200)]
    assert [each.pixels.shape[2] for each in found] == [1, 3, 1]
    assert np.array_equal(found[1].pixels, animated.frame(0))
    assert source.read_bytes() == before


def test_what_is_joined_keeps_size_resolution_compression_and_title_of_each_page(tmp_path: Path) -> None:
    source = animated.document(tmp_path / "in.tif")
    rejoin(source, tmp_path / "out.tif", tmp_path / "kept")
    out = tmp_path / "out.tif"
    assert tags(out, 0x0103)[:2] == tags(source, 0x0103)[:2]  # LZW and JPEG
    assert tags(out, 0x0103)[2] == 8  # deflate, since what was black and white is grey now
    assert tags(out, 0x010E) == tags(source, 0x010E)
    assert tags(out, 0x011A) == tags(source, 0x011A)
    for page, (found, wanted) in enumerate(zip(animated.shown(out), animated.shown(source), strict=True)):
        assert found.shape == wanted.shape
        assert np.abs(found.astype(int) - wanted).mean() <= (2 if page == 1 else 0)


@pytest.mark.parametrize(("options", "kind"), [({"compression": 0}, 1), ({"compression": 9}, 8)])
def test_a_compression_that_is_asked_for_is_taken(options: dict[str, int], kind: int, tmp_path: Path) -> None:
    source = animated.document(tmp_path / "in.tif")
    rejoin(source, tmp_path / "out.tif", tmp_path / "kept", **options)  # type: ignore[arg-type]
    assert tags(tmp_path / "out.tif", 0x0103) == [kind] * 3


def test_16_bits_are_kept(tmp_path: Path) -> None:
    pages = [np.random.default_rng(seed).integers(0, 65536, (9 + seed, 20, 3), np.uint16) for seed in range(3)]
    files = [tmp_path / f"{number}.tif" for number in range(3)]
    for file, page in zip(files, pages, strict=True):
        Picture(page).save(file)
    with (tmp_path / "all.tif").open("wb+") as output:
        tiff_exif.join(files, output)
    rejoin(tmp_path / "all.tif", tmp_path / "out.tif", tmp_path / "kept")
    with open_frames(tmp_path / "out.tif") as found:
        assert found is not None
        assert [np.array_equal(found.read(number).pixels, page) for number, page in enumerate(pages)] == [True] * 3


def test_long_files_become_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_exif, "LARGEST_CLASSIC", 1000)
    source = animated.document(tmp_path / "in.tif")
    rejoin(source, tmp_path / "out.tif", tmp_path / "kept")
    assert (tmp_path / "out.tif").read_bytes()[:4] == b"II+\0"
    with open_frames(tmp_path / "out.tif") as pages:
        assert pages is not None
        assert np.array_equal(pages.read(0).pixels, animated.frame(0))
        assert pages.read(2).metadata.dpi == (300, 300)


def test_smaller_versions_of_a_page_are_no_pages(tmp_path: Path) -> None:
    import pyvips

    image = pyvips.Image.black(300, 200).copy(interpretation="b-w")
    image.tiffsave(str(tmp_path / "in.tif"), pyramid=True, tile=True)
    with open_frames(tmp_path / "in.tif") as pages:
        assert pages is None


def test_pages_are_no_animation(tmp_path: Path) -> None:
    source = animated.document(tmp_path / "in.tif")
    gif = by_suffix(".gif")
    assert gif is not None
    with open_frames(source) as pages:
        assert pages is not None
        with pytest.raises(OutputError, match=r"GIF cannot hold the 3 pages of this TIFF file\. Choose \.tif"):
            pages.check(gif, EncodeOptions(), Path("out.gif"))


def test_a_tiff_of_one_page_is_a_single_picture(tmp_path: Path) -> None:
    Picture(animated.frame(0)).save(tmp_path / "in.tif")
    with open_frames(tmp_path / "in.tif") as pages:
        assert pages is None
    assert decode(tmp_path / "in.tif").size.width == 48
