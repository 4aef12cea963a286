"""Overlapping windows of a canvas of latents, and the weights that join what is predicted in them.

Pure arithmetic. All numbers are cells of the canvas: latents, or tokens where a model packs latents into tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import torch

from ..errors import PlanError
from ..tiling import Region, Size

MARGIN = 2
"""Cells at the edge of a window that have no weight, because there the network has seen the zeros beyond it."""


@dataclass(frozen=True, slots=True)
class WindowAxis:
    """The windows along one direction of a canvas, all of one length."""

    length: int
    """Cells of the canvas."""
    window: int
    """Cells of every window."""
    starts: tuple[int, ...]
    """Ascending multiples of `align`; the first is 0, the last `length - window`."""
    align: int
    """Cells from one place where a window may begin to the next."""

    def stagger(self) -> WindowAxis:
        """Returns windows shifted by half a step, and one more; the same windows if they share a half already."""
        steps = [after - before for before, after in pairwise(self.starts)]
        if all(2 * step <= self.window for step in steps):
            return self
        inner = [start + step // 2 // self.align * self.align for start, step in zip(self.starts, steps, strict=False)]
        return replace(self, starts=(0, *inner, self.starts[-1]))


@dataclass(frozen=True, slots=True)
class Grid:
    """The windows of a canvas: every combination of those along x and along y."""

    x: WindowAxis
    y: WindowAxis

    @property
    def size(self) -> Size:
        return Size(self.x.length, self.y.length)

    @property
    def count(self) -> int:
        return len(self.x.starts) * len(self.y.starts)

    def stagger(self) -> Grid:
        """Returns the grid shifted by half a step; it is used at every second step so that joins do not coincide.

        Measured with a denoiser whose windows differ by their means, beside a hard cut: windows that share a quarter
        leave a largest step of 0.08; alternating with shifted ones leaves 0.035, which is the picture's own. Windows
        that share a half leave as little, at 1.6 times the cost of alternating.
        """
        return Grid(self.x.stagger(), self.y.stagger())

    def regions(self) -> Iterator[Region]:
        """Yields the windows row by row, each row from left to right."""
        for y in self.y.starts:
            for x in self.x.starts:
                yield Region(x, y, self.x.window, self.y.window)

    def weights(self) -> Iterator[torch.Tensor]:
        """Yields the weights of each window, in the order of `regions`: float32 (window height, window width), 0..1.

        They sum to one at every cell of the canvas.
        """
        columns = axis_weights(self.x)
        for row in axis_weights(self.y):
            for column in columns:
                yield row[:, None] * column


def grid(size: Size, tile: int, overlap: int, align: int = 1) -> Grid:
    """Returns the fewest windows of at most `tile` cells that overlap by at least `overlap`, spread evenly.

    Raises PlanError for windows that are hardly larger than the overlap.
    """
    if tile - overlap < 2 * align:
        raise PlanError(
            f"windows of {tile} are too small for an overlap of {overlap}. Use {overlap + 2 * align} or more."
        )
    return Grid(*(_axis(length, tile, overlap, align) for length in (size.width, size.height)))


@cache
def axis_weights(axis: WindowAxis) -> torch.Tensor:
    """Returns weights, float32 (windows, window): raised cosines across overlaps, 0 at the margins, summing to one."""
    ramps = torch.ones(len(axis.starts), axis.window)
    for index, (before, after) in enumerate(pairwise(axis.starts)):
        rise = _rise(axis.window, before + axis.window - after)
        ramps[index] *= rise.flip(0)
        ramps[index + 1] *= rise
    total = torch.zeros(axis.length)
    for start, ramp in zip(axis.starts, ramps, strict=True):
        total[start : start + axis.window] += ramp
    return ramps / torch.stack([total[start : start + axis.window] for start in axis.starts])


def _axis(length: int, tile: int, overlap: int, align: int) -> WindowAxis:
    """Places windows at multiples of `align`, as the network's own reductions do, and adjusts their length to that."""
    if length <= tile:
        return WindowAxis(length, length, (0,), align)
    window = tile - (tile - length) % align
    places = (length - window) // align
    steps = math.ceil(places / ((window - overlap) // align))
    return WindowAxis(length, window, tuple(round(index * places / steps) * align for index in range(steps + 1)), align)


def _rise(window: int, overlap: int) -> torch.Tensor:
    margin = min(MARGIN, overlap // 8)
    position = (torch.arange(window, dtype=torch.float32) - margin + 0.5) / max(overlap - 2 * margin, 1)
    return 0.5 - 0.5 * torch.cos(math.pi * position.clamp(0, 1))
