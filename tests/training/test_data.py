"""Degraded sources stay over their truths; pages have letters; held-out photographs are never learned from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tests.pictures import SAMPLES
from training.data import Mixture, Pieces, Pool, batches, measured, photographs
from training.degradation import clean, demosaiced, mild, severe, usual
from training.pages import page
from upscaler.arrays import PixelArray
from upscaler.errors import PictureError

EVERYTHING = Mixture(clean=0.25, usual=0.25, mild=0.25, severe=0.25, pages=0.3)


def truth() -> PixelArray:
    with Image.open(SAMPLES / "astronaut.jpg") as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("degrade", [clean, usual, mild, severe])
def test_degraded_pictures_lie_where_their_truth_lies(degrade: Callable[..., PixelArray]) -> None:
    whole = truth()
    small = cv2.resize(whole, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    random = np.random.default_rng(0)
    sources = [degrade(whole, random) for _ in range(40)]
    assert {(source.shape, source.dtype.name) for source in sources} == {((64, 64, 3), "uint8")}
    mean = np.mean(sources, axis=0)
    assert np.abs(mean.mean((0, 1)) - small.mean((0, 1))).max() < 1  # no tint
    grey, its = mean.mean(2)[4:-4, 4:-4], cv2.GaussianBlur(small, (0, 0), 0.7).mean(2)
    errors = {
        (x, y): float(np.mean((grey - its[4 + y : 60 + y, 4 + x : 60 + x]) ** 2))
        for x in (-1, 0, 1)
        for y in (-1, 0, 1)
    }
    assert min(errors, key=lambda shift: errors[shift]) == (0, 0)  # no shift


def test_each_kind_is_worse_than_the_one_before() -> None:
    whole = truth()
    small = cv2.resize(whole, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    errors = []
    for degrade in (clean, mild, severe):
        random = np.random.default_rng(1)
        errors.append(np.mean([np.mean((degrade(whole, random) - small) ** 2) for _ in range(40)]))
    assert errors[0] < errors[1] < errors[2]


def test_demosaiced_flat_colour_stays_what_it_was() -> None:
    flat = np.full((16, 16, 3), (200, 80, 30), np.uint8)
    assert np.abs(demosaiced(flat).astype(int) - flat)[2:-2, 2:-2].max() <= 1


def test_pages_have_strokes_on_a_paper() -> None:
    random = np.random.default_rng(0)
    for _ in range(12):
        sheet = page(96, random)
        assert sheet.shape == (96, 96, 3)
        assert sheet.std() > 2


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty small photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        Image.fromarray(np.roll(truth(), 6 * number, axis=1)).save(folder / f"{number}.jpg")
    return folder


def test_photographs_are_either_learned_from_or_held_out(photos: Path) -> None:
    learned, held_out = photographs(photos, held_out=False), photographs(photos, held_out=True)
    assert {*learned, *held_out} == set(photos.iterdir())
    assert not {*learned} & {*held_out}
    assert 2 <= len(held_out) <= 14


def test_pieces_are_made_of_whole_pairs(photos: Path) -> None:
    pairs = iter(Pieces(photographs(photos, held_out=False), EVERYTHING, 24))
    for _ in range(20):
        source, whole = next(pairs)
        assert (source.shape, whole.shape) == ((3, 24, 24), (3, 96, 96))
        assert source.dtype == whole.dtype == torch.uint8


def test_photograph_smaller_than_a_piece_is_refused(photos: Path) -> None:
    with pytest.raises(PictureError, match=r"0\.jpg: 256x256 pixels, pieces have 320. Leave it out."):
        Pieces(sorted(photos.iterdir()), EVERYTHING, 80)


def test_pool_gives_parts_that_belong_together(photos: Path) -> None:
    mixture = Mixture(clean=1, usual=0, mild=0, severe=0, pages=0)
    fresh = batches(Pieces(photographs(photos, held_out=False), mixture, 24), 4, 0, 0)
    pool = Pool.made(fresh, 16, torch.device("cpu"))
    for _ in range(6):  # once around, and further
        pool.renew()
    source, whole = pool.batch(8, 16)
    assert (source.shape, whole.shape) == ((8, 3, 16, 16), (8, 3, 64, 64))
    shrunk = torch.nn.functional.avg_pool2d(whole, 4)
    assert (shrunk - source).abs().mean() < 0.03


def test_measured_pairs_are_always_the_same(photos: Path) -> None:
    first, second = measured(photos / "0.jpg"), measured(photos / "0.jpg")
    assert first.keys() == {"clean", "poor"}
    assert all(torch.equal(mine, its) for kind in first for mine, its in zip(first[kind], second[kind], strict=True))
    assert first["clean"][1].shape == (3, 128, 128)
    assert not torch.equal(first["clean"][0], first["poor"][0])
