"""Colour that spreads into transparent places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from upscaler.picture import alpha as module
from upscaler.picture import bleed

from ..tiffs import smooth


def disc(size: int, radius: float) -> np.ndarray:
    """Alpha (size, size, 1), opaque in the middle."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.where(np.hypot(x, y) <= radius, 255, 0).astype(np.uint8)[:, :, None]


def test_opaque_picture_is_returned_itself() -> None:
    colour = smooth(30, 20)
    assert bleed(colour, np.full((20, 30, 1), 255, np.uint8)) is colour


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_visible_colours_are_not_touched(channels: int, depth: int) -> None:
    colour = smooth(80, 80, channels, depth)
    alpha = disc(80, 20)
    alpha[alpha == 0] = np.random.default_rng(0).integers(0, 2, (alpha == 0).sum())
    alpha = alpha.astype(colour.dtype)
    filled = bleed(colour, alpha)
    seen = alpha[:, :, 0] > 0
    assert filled.dtype == colour.dtype
    np.testing.assert_array_equal(filled[seen], colour[seen])


def test_hidden_colour_takes_that_of_its_neighbours() -> None:
    alpha = disc(80, 20)
    colour = np.where(alpha > 0, np.array([200, 40, 90], np.uint8), np.array([0, 255, 0], np.uint8))
    filled = bleed(colour, alpha)
    near = disc(80, 20 + module.HALO - 4)[:, :, 0] > 0
    np.testing.assert_allclose(filled[near], np.broadcast_to([200, 40, 90], filled[near].shape), atol=1)


def test_edge_takes_the_nearest_colour_first() -> None:
    colour = np.zeros((8, 90, 3), np.uint8)
    colour[:, :30], colour[:, 60:] = (250, 0, 0), (0, 0, 250)
    alpha = np.zeros((8, 90, 1), np.uint8)
    alpha[:, :30] = alpha[:, 60:] = 255
    filled = bleed(colour, alpha)
    assert filled[4, 32].tolist() == [250, 0, 0]
    assert filled[4, 57].tolist() == [0, 0, 250]


def test_faint_pixels_count_little() -> None:
    colour = np.zeros((9, 9, 1), np.uint8)
    alpha = np.zeros((9, 9, 1), np.uint8)
    colour[4, 3], alpha[4, 3] = 200, 255
    colour[4, 5], alpha[4, 5] = 0, 1
    assert bleed(colour, alpha)[4, 4, 0] >= 198


def test_picture_with_nothing_visible_stays() -> None:
    colour = smooth(80, 80)
    np.testing.assert_array_equal(bleed(colour, np.zeros((80, 80, 1), np.uint8)), colour)


def test_filling_does_not_depend_on_where_the_picture_is_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    colour = rng.integers(0, 256, (300, 40, 3), np.uint8)
    alpha = np.where(rng.random((300, 40, 1)) < 0.002, 255, 0).astype(np.uint8)
    whole = bleed(colour, alpha)
    monkeypatch.setattr(module, "STRIP_ROWS", 17)
    assert np.abs(bleed(colour, alpha, tmp_path).astype(int) - whole).max() <= 1
