"""What pictures have been through is added to them, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.pictures import SAMPLES, sample
from training import wear
from training.data import Pool
from training.label_worn import SIDE
from training.worn_data import WornPieces

FILES = [SAMPLES / name for name in ("astronaut.jpg", "chelsea.png")]


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


def test_untouched_picture_hardly_changes_and_noise_lies_between_its_bounds(picture: np.ndarray) -> None:
    random = np.random.default_rng(1)
    source, clean = wear.untouched(picture, random)
    assert np.array_equal(clean, picture)
    assert np.abs(source.astype(int) - clean).mean() < 2
    grey = np.full((96, 96, 3), 128, np.uint8)
    found = [wear.with_noise(grey, random, 5, 20).std() for _ in range(40)]
    assert min(found) > 2  # what a mosaic or a film spreads over neighbours is weaker
    assert 12 < max(found) < 26


def test_pieces_are_clean_or_worn_as_asked_and_of_the_truths_quarter() -> None:
    random = np.random.default_rng(2)
    for is_clean in (True, False):
        pieces = WornPieces(FILES, 24, enlarged=True, is_clean=is_clean)
        found = [pieces.piece(random) for _ in range(12)]
        assert all(source.shape == clean.shape == (3, 24, 24) for source, clean, _ in found)
        assert all(truth.shape == (3, 96, 96) for _, _, truth in found)
        off = np.median([float((source.float() - clean.float()).abs().mean()) for source, clean, _ in found])
        assert bool(off < 1.5) is is_clean


def test_pool_cuts_the_same_part_of_each_picture_whatever_its_size() -> None:
    place = torch.arange(32 * 32).reshape(1, 1, 32, 32).expand(3, 3, -1, -1)
    small = (place // 4).to(torch.uint8)
    pictures = [small, small, *(each.repeat_interleave(4, 2).repeat_interleave(4, 3) for each in (small, small))]
    source, clean, truth, taught = Pool(pictures, torch.device("cpu"), None).batch(5, 16)
    assert torch.equal(source, clean)
    assert torch.equal(truth, taught)
    assert torch.equal(torch.nn.functional.avg_pool2d(truth, 4).mul(255).round(), source.mul(255).round())


def test_taught_pieces_are_as_large_as_what_is_learned_at_once() -> None:
    from training import chain

    assert chain.SIDE == SIDE
    assert SIDE % 8 == 0
