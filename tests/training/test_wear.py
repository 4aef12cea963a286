"""What pictures have been through is added to them, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pictures import sample
from training import wear


@pytest.fixture
def picture() -> np.ndarray:
    return np.rint(255 * sample("coffee.jpg")[100:180, 100:196]).astype(np.uint8)


@pytest.mark.parametrize("kind", wear.KINDS)
def test_worn_pictures_keep_size_and_tones(kind: object, picture: np.ndarray) -> None:
    random = np.random.default_rng(0)
    for _ in range(6):
        source, clean = kind(picture, random)  # type: ignore[operator]
        assert source.shape == clean.shape == picture.shape
        assert source.dtype == clean.dtype == np.uint8
        assert abs(source.mean() - clean.mean()) < 8  # noise cannot go below black


def test_kept_picture_hardly_changes_and_noise_lies_between_its_bounds(picture: np.ndarray) -> None:
    random = np.random.default_rng(1)
    source, clean = wear.keep(picture, random)
    assert np.array_equal(clean, picture)
    assert np.abs(source.astype(int) - clean).mean() < 2
    grey = np.full((96, 96, 3), 128, np.uint8)
    found = [wear.add_noise(grey, random, 5, 20).std() for _ in range(40)]
    assert min(found) > 2  # what a mosaic or a film spreads over neighbours is weaker
    assert 12 < max(found) < 26


def test_demosaiced_flat_colour_stays_what_it_was() -> None:
    flat = np.full((16, 16, 3), (200, 80, 30), np.uint8)
    assert np.abs(wear.demosaic(flat).astype(int) - flat)[2:-2, 2:-2].max() <= 1
