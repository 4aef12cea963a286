"""Pairs to learn from: pieces of photographs and of drawn pages, each with its degraded quarter; and the held-out pairs
that are only measured."""

from __future__ import annotations

import zlib
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from upscaler.arrays import PixelArray
from upscaler.errors import PictureError

from .degradation import SCALE, Random, clean, encoded, mild, pick, pixels, severe, usual
from .pages import page

HELD_OUT = 6
"""One photograph in so many, chosen by a hash of its name, is never learned from."""
SIDE = 512
"""Pixels of the truth of a held-out pair: 128 of the source."""

Pair = tuple[torch.Tensor, torch.Tensor]
"""Source and truth, uint8, (3, height, width); the truth four times as high and wide."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Shares of what is learned from. Those of the sources sum to one."""

    clean: float
    usual: float
    mild: float
    severe: float
    pages: float
    """Of the truths are drawn; the others are photographs."""
    usual_sharpened: float = 0.0
    """Of the usual sources are sharpened too much."""
    mild_sharpened: float = 0.1
    """Of the mild ones."""


def photo_folder(name: str) -> Path:
    """For argparse, which says what is wrong with it."""
    folder = Path(name)
    if not folder.is_dir():
        raise ArgumentTypeError(f"{name}: no such folder")
    if not all(photographs(folder, held_out) for held_out in (False, True)):
        raise ArgumentTypeError(f"{name}: has too few .jpg and .png to learn from some and hold others out")
    return folder


def photographs(folder: Path, held_out: bool) -> list[Path]:
    """The files that are learned from, or the others."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (".jpg", ".png"))
    return [file for file in files if (_hash(file.name) % HELD_OUT == 0) == held_out]


def _hash(name: str) -> int:
    return zlib.crc32(name.encode())


def read(file: Path) -> PixelArray:
    """uint8 RGB, (height, width, 3)."""
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


class Pieces(IterableDataset[Pair]):
    """Endless pairs whose sources are `side` pixels wide and high."""

    def __init__(self, files: Sequence[Path], mixture: Mixture, side: int) -> None:
        """Raises PictureError for a photograph that is smaller than a truth."""
        self._photographs = [read(file) for file in files]
        self._mixture = mixture
        self._side = side
        for file, photograph in zip(files, self._photographs, strict=True):
            height, width = photograph.shape[:2]
            if min(width, height) < SCALE * side:
                raise PictureError(f"{file.name}: {width}x{height} pixels, pieces have {SCALE * side}. Leave it out.")

    def __iter__(self) -> Iterator[Pair]:
        worker = get_worker_info()
        random = np.random.default_rng(worker.seed if worker else 0)
        cv2.setNumThreads(1)  # as many workers as cores are meant to be busy, not more
        while True:
            yield self._pair(random)

    def _pair(self, random: Random) -> Pair:
        side = SCALE * self._side
        truth = page(side, random) if random.random() < self._mixture.pages else self._photograph(side, random)
        if random.random() < 0.06:  # so that grey stays grey
            truth = np.asarray(Image.fromarray(truth).convert("L").convert("RGB"))
        shares = self._mixture
        kinds: dict[Callable[[PixelArray, Random], PixelArray], float] = {
            clean: shares.clean,
            partial(usual, sharpening=shares.usual_sharpened): shares.usual,
            partial(mild, sharpening=shares.mild_sharpened): shares.mild,
            severe: shares.severe,
        }
        source = pick(kinds, random)(truth, random)
        return _tensor(source), _tensor(truth)

    def _photograph(self, side: int, random: Random) -> PixelArray:
        """A piece of one, at its size or reduced: reduced photographs are sharper, and show more in one piece."""
        photograph = self._photographs[int(random.integers(len(self._photographs)))]
        most = min(photograph.shape[0] / side, photograph.shape[1] / side, 3)
        factor = float(random.uniform(1, max(most, 1))) if random.random() < 0.7 else 1.0
        wide = int(side * factor)
        top, left = (int(random.integers(length - wide + 1)) for length in photograph.shape[:2])
        piece = photograph[top : top + wide, left : left + wide]
        if wide == side:
            return piece
        how = Image.Resampling.BOX if random.random() < 0.5 else Image.Resampling.LANCZOS
        return np.asarray(Image.fromarray(piece).resize((side, side), how))


class Pool:
    """Pairs at hand, of which the oldest are replaced as new ones are made: making a pair takes about as long as
    learning from it once, so each is seen several times, each time another part of it, turned or mirrored.

    What else there is beside source and truth is as large as one of the two, such as the teacher's result.
    """

    def __init__(
        self, pictures: Sequence[torch.Tensor], device: torch.device, fresh: Iterator[list[torch.Tensor]] | None
    ) -> None:
        """`pictures` are uint8, (count, 3, height, width); `fresh` yields the same of new ones."""
        self._pictures = [each.to(device) for each in pictures]
        self._count = len(pictures[0])
        self._fresh = fresh
        self._oldest = 0

    @classmethod
    def made(cls, fresh: Iterator[list[torch.Tensor]], size: int, device: torch.device) -> Pool:
        """Of the first `size` pairs that are made."""
        first = [next(fresh)]
        while len(first) * len(first[0][0]) < size:
            first.append(next(fresh))
        return cls([torch.cat(each) for each in zip(*first, strict=True)], device, fresh)

    def renew(self) -> None:
        """Replaces as many of the oldest as come at once."""
        if self._fresh is not None:
            new = next(self._fresh)
            places = torch.arange(self._oldest, self._oldest + len(new[0])) % self._count
            for mine, its in zip(self._pictures, new, strict=True):
                mine[places] = its.to(mine.device)
            self._oldest = (self._oldest + len(new[0])) % self._count

    def batch(self, count: int, side: int) -> list[torch.Tensor]:
        """Parts of pairs, `side` source pixels wide and high: float32, 0..1, channels last."""
        parts = zip(*(self._part(side) for _ in range(count)), strict=True)
        memory = torch.channels_last
        return [torch.stack(each).float().div(255).contiguous(memory_format=memory) for each in parts]

    def _part(self, side: int) -> list[torch.Tensor]:
        which, top, left, turn, mirror = (int(number) for number in torch.randint(2**31, (5,)))
        pictures = [each[which % self._count] for each in self._pictures]
        room = pictures[0].shape[-1] - side + 1
        parts = []
        for picture in pictures:
            scale = picture.shape[-1] // pictures[0].shape[-1]
            low, far = scale * (top % room), scale * (left % room)
            part = picture[:, low : low + scale * side, far : far + scale * side]
            turned = torch.rot90(part, turn % 4, (1, 2))
            parts.append(turned.flip(2) if mirror % 2 else turned)
        return parts


def labelled(folder: Path, device: torch.device) -> Pool:
    """What `label` wrote there: source, truth and the teacher's result."""
    files = [load_file(file) for file in sorted(folder.glob("*.safetensors"))]
    return Pool([torch.cat([file[name] for file in files]) for name in ("source", "truth", "taught")], device, None)


def batches(pieces: Pieces, count: int, workers: int, seed: int) -> Iterator[list[torch.Tensor]]:
    """So many pairs at once, without end, made by other processes."""
    generator = torch.Generator().manual_seed(seed)
    return iter(DataLoader(pieces, batch_size=count, num_workers=workers, generator=generator))


def _tensor(picture: PixelArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def measured(file: Path) -> dict[str, Pair]:
    """The middle of a held-out photograph, halved, with its clean source and its poor one, always the same.

    Poor is a Gaussian blur of 1.2 pixels, a reduction by area, noise of 3 levels and JPEG of quality 70.
    """
    photograph = read(file)
    half = Image.fromarray(photograph).reduce(2)
    height, width = (min(length, SIDE) // SCALE * SCALE for length in (half.height, half.width))
    left, top = (half.width - width) // 2, (half.height - height) // 2
    middle = half.crop((left, top, left + width, top + height))
    truth, small = np.asarray(middle), (width // SCALE, height // SCALE)
    soft = cv2.GaussianBlur(truth, (0, 0), 1.2)
    noise = np.random.default_rng(_hash(file.name)).normal(0, 3, (small[1], small[0], 3))
    poor = pixels(cv2.resize(soft, small, interpolation=cv2.INTER_AREA) + noise)
    sources = {
        "clean": np.asarray(middle.resize(small, Image.Resampling.BICUBIC)),
        "poor": encoded(poor, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 70]),
    }
    return {name: (_tensor(source), _tensor(truth)) for name, source in sources.items()}
