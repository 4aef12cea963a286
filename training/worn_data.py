"""Makes pieces of photographs and pages as people have them, to learn cleaning and enlarging from.

What happens to pieces is left to `wear`; where photographs come from, and pools of pieces, to `data`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from upscaler.arrays import PixelArray
from upscaler.errors import PictureError

from .chance import Random, pick
from .data import read
from .pages import draw_page
from .wear import FILTERS, GOOD_FILTERS, dim, keep, shoot_at_night, wear

SCALE = 4
"""How many times as wide and high as sources truths are."""
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
        """Reads the photographs. `enlarged`: with the truth, four times as wide and high. `is_clean`: only clean
        sources, or only others. `pages`: the share of pieces that are drawn.

        Raises PictureError for a photograph that is smaller than a piece.
        """
        self._photographs = [read(file) for file in files]
        self._side = side
        self._enlarged = enlarged
        self._is_clean = is_clean
        self._pages = pages
        self._seed = 0
        self._whole = whole = side * (SCALE if enlarged else 1)
        for file, photograph in zip(files, self._photographs, strict=True):
            height, width = photograph.shape[:2]
            if min(width, height) < whole:
                raise PictureError(f"{file.name}: {width}x{height} pixels, pieces have {whole}. Leave it out.")

    def stream(self, count: int, workers: int, seed: int) -> Iterator[list[torch.Tensor]]:
        """Returns `count` pieces at once, on the host, without end; they are made by `workers` other processes."""
        self._seed = seed
        generator = torch.Generator().manual_seed(seed)
        return iter(DataLoader(self, batch_size=count, num_workers=workers, generator=generator))

    def __iter__(self) -> Iterator[Triple]:
        worker = get_worker_info()
        random = np.random.default_rng(worker.seed if worker else self._seed)
        cv2.setNumThreads(1)  # as many workers as cores are meant to be busy, not more
        while True:
            yield self.piece(random)

    def piece(self, random: Random) -> Triple:
        """Makes one of them, by chance."""
        side = self._whole
        truth = draw_page(side, random) if random.random() < self._pages else self._cut(side, random)
        if random.random() < GREY:
            truth = np.asarray(Image.fromarray(truth).convert("L").convert("RGB"))
        is_dim = random.random() < DIM
        if is_dim:
            truth = dim(truth, random)
        small = self._reduce(truth, random) if self._enlarged else self._soften(truth, random)
        if self._is_clean:
            source, clean = keep(small, random)
        else:
            source, clean = (shoot_at_night if is_dim else wear)(small, random)
            while self._is_clean is False and source is clean:
                source, clean = wear(small, random)
        return tuple(_tensor(each) for each in ((source, clean, truth) if self._enlarged else (source, clean)))

    def _cut(self, side: int, random: Random) -> PixelArray:
        """Cuts a part of a photograph, reduced as far as pictures of its size in the world are."""
        photograph = self._photographs[int(random.integers(len(self._photographs)))]
        most = max(1.0, min(photograph.shape[0] / side, photograph.shape[1] / side, 3 if self._enlarged else 8))
        factor = float(np.exp(random.uniform(0, np.log(most)))) if random.random() < 0.85 else 1.0
        wide = min(int(side * factor), *photograph.shape[:2])
        top, left = (int(random.integers(length - wide + 1)) for length in photograph.shape[:2])
        part = Image.fromarray(photograph[top : top + wide, left : left + wide])
        how = Image.Resampling.BOX if random.random() < 0.5 else Image.Resampling.LANCZOS
        return np.asarray(part if wide == side else part.resize((side, side), how))

    def _soften(self, truth: PixelArray, random: Random) -> PixelArray:
        """Makes half of them a little soft, as sources are."""
        if random.random() < 0.5:
            return truth
        return np.asarray(cv2.GaussianBlur(truth, (0, 0), random.uniform(0.2, 0.9)), np.uint8)

    def _reduce(self, truth: PixelArray, random: Random) -> PixelArray:
        """Returns a quarter of the width and height: of the clean ones four fifths are reduced by bicubic or the like
        and nothing else, of the others a fifth."""
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
