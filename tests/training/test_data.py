"""Held-out photographs are never learned from; a pool gives parts that belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.pictures import SAMPLES
from training.data import Pool, find_photographs
from training.worn_data import WornPieces


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty small photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(SAMPLES / "astronaut.jpg") as image:
        truth = np.asarray(image.convert("RGB"))
    for number in range(40):
        Image.fromarray(np.roll(truth, 6 * number, axis=1)).save(folder / f"{number}.jpg")
    return folder


def test_photographs_are_either_learned_from_or_held_out(photos: Path) -> None:
    learned, held_out = find_photographs(photos, held_out=False), find_photographs(photos, held_out=True)
    assert {*learned, *held_out} == set(photos.iterdir())
    assert not {*learned} & {*held_out}
    assert 2 <= len(held_out) <= 14


def test_pool_gives_parts_that_belong_together(photos: Path) -> None:
    pieces = WornPieces(find_photographs(photos, held_out=False), 24, enlarged=True, is_clean=True, pages=0)
    pool = Pool.fill(pieces.stream(4, workers=0, seed=0), 16, torch.device("cpu"))
    for _ in range(6):  # once around, and further
        pool.renew()
    source, clean, whole = pool.batch(8, 16)
    assert (source.shape, clean.shape, whole.shape) == ((8, 3, 16, 16), (8, 3, 16, 16), (8, 3, 64, 64))
    shrunk = torch.nn.functional.avg_pool2d(whole, 4)
    assert (shrunk - source).abs().mean() < 0.03


def test_pool_cuts_the_same_part_of_each_picture_whatever_its_size() -> None:
    place = torch.arange(32 * 32).reshape(1, 1, 32, 32).expand(3, 3, -1, -1)
    small = (place // 4).to(torch.uint8)
    pictures = [small, small, *(each.repeat_interleave(4, 2).repeat_interleave(4, 3) for each in (small, small))]
    source, clean, truth, taught = Pool(pictures, torch.device("cpu"), None).batch(5, 16)
    assert torch.equal(source, clean)
    assert torch.equal(truth, taught)
    assert torch.equal(torch.nn.functional.avg_pool2d(truth, 4).mul(255).round(), source.mul(255).round())
