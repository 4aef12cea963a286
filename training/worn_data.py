"""Pieces of photographs and pages as people have them, to learn cleaning and enlarging from.

What happens to them is told in `wear`; where photographs come from, and pools of pieces, in `data`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import IterableDataset, get_worker_info

from upscaler.arrays import PixelArray

from .data import read
from .degradation import FILTERS, GOOD_FILTERS, SCALE, Random, pick
from .pages import page
from .wear import dark, dimmed, untouched, worn

PAGES = 0.1
"""Share of pieces that are drawn, where nothing else is asked for."""
GREY = 0.06
"""Share of pieces that are made grey, so that grey stays grey."""
DIM = 0.07
"""Share of pieces that are dimmed; those are worn as at night."""
SOFTEST = 2.4
"""Deviation in pixels of the truth of the widest blur."""

Triple = tuple[torch.Tensor, ...]
"""Source, the same without wear, and where it is asked for the truth: uint8, (3, height, width)."""


class WornPieces(IterableDataset[Triple]):
    """Endless pieces whose sources are `side` pixels wide and high."""

    def __init__(
        self,
        files: Sequence[Path],
        side: int,
        *,
        enlarged: bool,
        is_clean: bool | None = None,
        pages: float = PAGES,
    ) -> None:
        """`enlarged`: with the truth, four times as wide and high. `is_clean`: only clean sources, or only others.
        `pages`: the share of pieces that are drawn."""
        self._photographs = [read(file) for file in files]
        self._side = side
        self._enlarged = enlarged
        self._is_clean = is_clean
        self._pages = pages

    def __iter__(self) -> Iterator[Triple]:
        worker = get_worker_info()
        random = np.random.default_rng(worker.seed if worker else 0)
        cv2.setNumThreads(1)  # as many workers as cores are meant to be busy, not more
        while True:
            yield self.piece(random)

    def piece(self, random: Random) -> Triple:
        """One of them, by chance."""
        side = self._side * (SCALE if self._enlarged else 1)
        truth = page(side, random) if random.random() < self._pages else self._photograph(side, random)
        if random.random() < GREY:
            truth = np.asarray(Image.fromarray(truth).convert("L").convert("RGB"))
        is_dim = random.random() < DIM
        if is_dim:
            truth = dimmed(truth, random)
        small = self._reduced(truth, random) if self._enlarged else self._softened(truth, random)
        if self._is_clean:
            source, clean = untouched(small, random)
        else:
            source, clean = (dark if is_dim else worn)(small, random)
            while self._is_clean is False and source is clean:
                source, clean = worn(small, random)
        return tuple(_tensor(each) for each in ((source, clean, truth) if self._enlarged else (source, clean)))

    def _photograph(self, side: int, random: Random) -> PixelArray:
        """Part of one of them, reduced as far as pictures of its size in the world are."""
        photograph = self._photographs[int(random.integers(len(self._photographs)))]
        most = max(1.0, min(photograph.shape[0] / side, photograph.shape[1] / side, 3 if self._enlarged else 8))
        factor = float(np.exp(random.uniform(0, np.log(most)))) if random.random() < 0.85 else 1.0
        wide = min(int(side * factor), *photograph.shape[:2])
        top, left = (int(random.integers(length - wide + 1)) for length in photograph.shape[:2])
        part = Image.fromarray(photograph[top : top + wide, left : left + wide])
        how = Image.Resampling.BOX if random.random() < 0.5 else Image.Resampling.LANCZOS
        return np.asarray(part if wide == side else part.resize((side, side), how))

    def _softened(self, truth: PixelArray, random: Random) -> PixelArray:
        """As sources are: half of them a little soft."""
        if random.random() < 0.5:
            return truth
        return np.asarray(cv2.GaussianBlur(truth, (0, 0), random.uniform(0.2, 0.9)), np.uint8)

    def _reduced(self, truth: PixelArray, random: Random) -> PixelArray:
        """A quarter as wide and high: of the clean ones four fifths by bicubic or the like and nothing else, of the
        others a fifth."""
        filters = GOOD_FILTERS
        if random.random() < (0.2 if self._is_clean else 0.8):
            filters = FILTERS
            deviation = SOFTEST * float(random.random()) ** 1.5
            if deviation > 0.3:
                truth = np.asarray(cv2.GaussianBlur(truth, (0, 0), deviation), np.uint8)
        size = (self._side, self._side)
        return np.asarray(Image.fromarray(truth).resize(size, pick(filters, random)))


def _tensor(picture: PixelArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
