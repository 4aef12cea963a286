"""Stages on bands: in pieces as in one piece."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upscaler.picture import resize
from upscaler.surface import Upload, cut_bands, resize_bands, write_bands
from upscaler.tiling import Band, Size, Window


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 40), st.integers(1, 600), st.integers(1, 40), st.integers(1, 300))
def test_resized_in_bands_equals_resized_at_once(height: int, width: int, rows: int, columns: int, step: int) -> None:
    pixels = np.random.default_rng(height).random((height, width, 2), np.float32)
    bands = (Band(y, pixels[y : y + step]) for y in range(0, height, step))
    source, target = Size(width, height), Size(columns, rows)
    result = np.concatenate([band.pixels for band in resize_bands(bands, Window.all(source), Window.all(target))])
    assert result.shape == (rows, columns, 2)
    assert np.abs(result - resize(pixels, target)).max() < 1e-4


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535)])
def test_collected_values_are_rounded_and_clipped(dtype: type, full: int) -> None:
    values = np.array([-0.5, 0.0, 0.4 / full, 0.6 / full, 0.5, 1.0, 1.5], np.float32)[None, :, None]
    canvas = np.empty((1, 7, 3), dtype)
    write_bands([Band(0, values)], canvas)
    assert canvas[0, :, 2].tolist() == [0, 0, 0, 1, round(full / 2), full, full]


def test_whole_numbers_survive_the_way_through_floats() -> None:
    for dtype in (np.uint8, np.uint16):
        pixels = np.arange(65536).astype(dtype).reshape(256, 256, 1)
        canvas = np.empty_like(pixels)
        write_bands(cut_bands(Upload(pixels)), canvas)
        assert np.array_equal(canvas, pixels)
