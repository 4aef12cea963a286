"""Files of any name: libvips takes names for UTF-8 text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from upscaler.codecs import decode, encode
from upscaler.errors import OutputError
from upscaler.picture import Metadata, Picture
from upscaler.tiling import Size

from ..bad_files import file_of
from ..tiffs import smooth
from . import blocks


def test_file_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    path = Path(str(tmp_path) + "/\udcff.jpg")
    try:
        path.write_bytes(file_of("jpg"))
    except OSError:
        pytest.skip("this file system has only Unicode names")
    assert decode(path).pixels.shape == (64, 96, 3)


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
