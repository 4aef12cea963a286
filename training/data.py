"""Photographs, to learn from or to measure on, and the pool of pieces that are at hand.

What the pieces show and what has happened to them is left to `worn_data`.
"""

from __future__ import annotations

import zlib
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from upscaler.arrays import PixelArray

HELD_OUT = 6
"""One photograph in so many, chosen by a hash of its name, is never learned from."""


def parse_folder(name: str) -> Path:
    """Returns a folder with photographs of both kinds. Raises ArgumentTypeError, which argparse prints, for another."""
    folder = Path(name)
    if not folder.is_dir():
        raise ArgumentTypeError(f"{name}: no such folder")
    if not all(find_photographs(folder, held_out) for held_out in (False, True)):
        raise ArgumentTypeError(f"{name}: has too few .jpg and .png to learn from some and hold others out")
    return folder


def find_photographs(folder: Path, held_out: bool) -> list[Path]:
    """Returns the files that are held out, or the others, which are learned from."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (".jpg", ".png"))
    return [file for file in files if (zlib.crc32(file.name.encode()) % HELD_OUT == 0) == held_out]


def read(file: Path) -> PixelArray:
    """Returns the picture as uint8 RGB, (height, width, 3)."""
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


class Pool:
    """Pieces at hand, of which the oldest are replaced as new ones are made: making a piece takes about as long as
    learning from it once, so each is seen several times, each time another part of it, turned or mirrored.

    A piece is several pictures of one place, such as source, clean source and truth. The first is the source; the
    others are as large or a multiple of it.
    """

    def __init__(
        self, pictures: Sequence[torch.Tensor], device: torch.device, fresh: Iterator[list[torch.Tensor]] | None
    ) -> None:
        """Takes `pictures`, uint8, (count, 3, height, width) each; `fresh` yields the same of new pieces."""
        self._pictures = [each.to(device) for each in pictures]
        self._count = len(pictures[0])
        self._fresh = fresh
        self._oldest = 0

    @classmethod
    def fill(cls, fresh: Iterator[list[torch.Tensor]], size: int, device: torch.device) -> Pool:
        """Returns a pool of the first `size` pieces that are made."""
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
        """Returns parts of pieces, `side` source pixels wide and high: float32, 0..1, channels last."""
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
