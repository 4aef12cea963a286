"""Pictures that several modules of tests begin with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from upscaler.codecs import decode
from upscaler.picture import Picture
from upscaler.tiling import Size

from ..tiffs import smooth
from . import blocks, icc
from .checks import PHOTO


@pytest.fixture(scope="module")
def enlarged() -> dict[str, Picture]:
    """Files with everything, on their side, read and enlarged twice: sources by suffix."""
    result = {}
    for suffix in PHOTO:
        picture = decode(blocks.file_with_all(suffix, smooth(60, 40), icc.DISPLAY_P3, 6))
        pixels = picture.pixels.repeat(2, 0).repeat(2, 1)
        result[suffix] = replace(picture, pixels=pixels, metadata=picture.metadata.correct(Size(80, 120)))
    return result
