"""Resampling: what it keeps, how far it reaches, and that a part is resampled as the whole is."""

from __future__ import annotations

import numpy as np
import pytest

from upscaler.picture import resize, support
from upscaler.tiling import Size


def noise(width: int, height: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(4).random((height, width, channels)).astype(np.float32)


@pytest.mark.parametrize("size", [Size(7, 5), Size(40, 30), Size(61, 29), Size(1, 1)], ids=str)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_flat_stays_flat(size: Size, channels: int) -> None:
    flat = np.full((30, 40, channels), 0.37, np.float32)
    resized = resize(flat, size)
    assert resized.shape == (size.height, size.width, channels)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, 0.37, atol=1e-6)


def test_same_size_is_the_same_picture() -> None:
    np.testing.assert_allclose(resize(noise(40, 30, 3), Size(40, 30)), noise(40, 30, 3), atol=1e-6)


def test_channels_do_not_mix() -> None:
    pixels = noise(20, 20, 4)
    apart = [resize(pixels[:, :, channel : channel + 1], Size(33, 47)) for channel in range(4)]
    np.testing.assert_array_equal(resize(pixels, Size(33, 47)), np.concatenate(apart, 2))


def test_picture_does_not_move() -> None:
    """A ramp enlarged and shrunk is the same ramp: no half pixel is lost on the way."""
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None].repeat(8, 0)
    back = resize(resize(ramp, Size(256, 32)), Size(64, 8))
    np.testing.assert_allclose(back[:, 8:-8], ramp[:, 8:-8], atol=2e-3)


def test_shrinking_averages_before_it_leaves_out() -> None:
    stripes = np.zeros((64, 64, 1), np.float32)
    stripes[:, ::2] = 1
    np.testing.assert_allclose(resize(stripes, Size(16, 16))[:, 2:-2], 0.5, atol=0.01)


@pytest.mark.parametrize(("source", "target"), [(40, 40), (40, 80), (40, 53), (40, 13), (100, 7)])
def test_support_is_as_far_as_a_pixel_can_be_felt(source: int, target: int) -> None:
    reach = support(source, target)
    pixels = np.zeros((1, source, 1), np.float32)
    pixels[0, source // 2] = 1
    felt = np.flatnonzero(resize(pixels, Size(target, 1))[0, :, 0])
    centres = (felt + 0.5) * source / target - 0.5
    assert np.abs(centres - source // 2).max() <= reach
    if source != target:
        assert np.abs(centres - source // 2).max() >= reach / 3


@pytest.mark.parametrize("height", [37, 90, 150, 11])
def test_part_is_resampled_as_the_whole_is(height: int) -> None:
    pixels = noise(20, 90)
    whole = resize(pixels, Size(31, height))
    ratio, reach = 90 / height, support(90, height)
    for y in range(0, height, 10):
        rows = min(10, height - y)
        first, last = max(int(y * ratio) - reach, 0), min(int((y + rows) * ratio) + 1 + reach, 90)
        box = (0.0, y * ratio - first, 20.0, min((y + rows) * ratio, 90) - first)
        part = resize(pixels[first:last], Size(31, rows), box)
        np.testing.assert_allclose(part, whole[y : y + rows], atol=1e-5)
