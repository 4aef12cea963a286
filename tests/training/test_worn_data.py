"""Pieces of photographs and pages: sources lie where their truths lie, and are clean or worn as asked."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tests.pictures import SAMPLES
from training.worn_data import WornPieces
from upscaler.errors import PictureError

FILES = [SAMPLES / name for name in ("astronaut.jpg", "chelsea.png")]


def test_pieces_are_clean_or_worn_as_asked_and_of_the_truths_quarter() -> None:
    random = np.random.default_rng(2)
    for is_clean in (True, False):
        pieces = WornPieces(FILES, 24, enlarged=True, is_clean=is_clean)
        found = [pieces.piece(random) for _ in range(12)]
        assert all(source.shape == clean.shape == (3, 24, 24) for source, clean, _ in found)
        assert all(truth.shape == (3, 96, 96) for _, _, truth in found)
        assert all(each.dtype == torch.uint8 for piece in found for each in piece)
        off = np.median([float((source.float() - clean.float()).abs().mean()) for source, clean, _ in found])
        assert bool(off < 1.5) is is_clean


@pytest.mark.parametrize("is_clean", [True, False])
def test_sources_lie_where_their_truths_lie(is_clean: bool) -> None:
    pieces = WornPieces(FILES[:1], 64, enlarged=True, is_clean=is_clean, pages=0)
    random = np.random.default_rng(0)
    errors, tints = np.zeros((3, 3)), []
    for _ in range(40):
        source, _, truth = (each.permute(1, 2, 0).numpy() for each in pieces.piece(random))
        small = cv2.resize(truth, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
        tints.append((source - small).mean((0, 1)))
        grey, its = source.mean(2)[4:-4, 4:-4], cv2.GaussianBlur(small, (0, 0), 0.7).mean(2)
        for y, x in np.ndindex(3, 3):
            errors[y, x] += np.mean((grey - its[3 + y : 59 + y, 3 + x : 59 + x]) ** 2)
    assert np.abs(np.mean(tints, 0)).max() < 1  # no tint
    assert np.unravel_index(errors.argmin(), errors.shape) == (1, 1)  # no shift


def test_photograph_smaller_than_a_piece_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "0.jpg"
    Image.new("RGB", (300, 256)).save(file)
    WornPieces([file], 64, enlarged=True)
    with pytest.raises(PictureError, match=r"0\.jpg: 300x256 pixels, pieces have 320. Leave it out."):
        WornPieces([file], 80, enlarged=True)
