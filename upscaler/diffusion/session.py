"""A VAE while it is used: on its device, in its precision, with statistics of a canvas, which is computed from top to
bottom and never exists as a whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from torch import nn

from ..device import dtype_name, is_out_of_memory
from ..errors import EngineError, OutOfMemory
from ..tiling import Region, Size
from .coders import CoderPart
from .patch import replace_forward
from .windows import Grid, axis_weights

log = logging.getLogger("upscaler")

SAMPLE = 24
"""Latents a side of a sample for statistics. Much of the canvas should be seen: smaller samples have too much border,
larger ones are too few for the same memory."""

SAMPLES = 6
"""Samples along a side, or as many as it takes to see all of it; more where these would see less than half of it."""

MOST_SAMPLES = 12
"""Samples along a side of even the largest canvas."""

TOGETHER = 14
"""Samples that are run as one batch: with 24x24 latents each, they take as much memory as a tile of 64 latents with its
halo, about."""

GOLDEN = (5**0.5 - 1) / 2

SMALLEST = 8
"""Cells of a side below which a tile is not halved to save memory, because most of it is halo."""

Rows: TypeAlias = Callable[[int, int], torch.Tensor]
"""Returns the rows first..last-1 of a canvas, (1, channels, rows, width). Ranges are asked for in ascending order."""


def rows_of_tensor(canvas: torch.Tensor) -> Rows:
    """Returns the rows of a canvas that exists as a tensor."""
    return lambda first, last: canvas[..., first:last, :]


class Stream:
    """The rows of a canvas that comes in pieces from the top; rows above the last range asked for are dropped."""

    def __init__(self, pieces: Iterator[torch.Tensor]) -> None:
        self._pieces = pieces
        self._rows = next(pieces)
        self._top = 0

    def __call__(self, first: int, last: int) -> torch.Tensor:
        """Returns the rows first..last-1, as `Rows` does."""
        self._rows = self._rows[..., first - self._top :, :]
        self._top = first
        while self._rows.shape[-2] < last - first:
            self._rows = torch.cat([self._rows, next(self._pieces)], -2)
        return self._rows[..., : last - first, :]


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and variance of each group of channels, float64 (groups,), over `count` values."""

    count: int
    mean: torch.Tensor
    variance: torch.Tensor


class Session:
    """Computes a VAE in parts: tensors go to its device and come back from there. `close` ends it."""

    def __init__(self, vae: Any) -> None:
        hook = getattr(vae, "_hf_hook", None)
        if hook is not None:  # accelerate's offload hook must be called by hand before methods other than `forward`
            hook.pre_forward(vae)
        self._vae = vae
        self._device = torch.device(getattr(hook, "execution_device", None) or next(vae.parameters()).device)
        self._dtype: torch.dtype = vae.dtype
        self._before = self._dtype
        self._statistics: dict[nn.GroupNorm, Moments] = {}
        self._too_large: dict[CoderPart, int] = {}

    def run(self, part: CoderPart, values: torch.Tensor) -> torch.Tensor:
        """Returns the part's result, its norms using the statistics learnt, so that a pixel does not depend on the
        tile it is computed in. Raises OutOfMemory, EngineError."""
        if values.numel() >= self._too_large.get(part, values.numel() + 1):
            raise OutOfMemory("a tensor of this size did not fit before.")
        try:
            with ExitStack() as stack:
                for norm in part.norms:
                    if norm in self._statistics:
                        stack.enter_context(replace_forward(norm, partial(_normalise, norm, self._statistics[norm])))
                return self.run_with_fp32_retry(lambda: part.run(self.to_device(values)))
        except OutOfMemory:
            log.warning("out of memory on %s in the VAE: smaller tiles from here on.", self._device)
            self._too_large[part] = values.numel()
            raise

    def learn(self, parts: Sequence[CoderPart], samples: Sequence[torch.Tensor], together: int = TOGETHER) -> None:
        """Learns statistics for the norms of parts in a row, pooled over samples of the input of the first of them.

        While they are measured, every batch is normalised by its own moments, so each has samples from everywhere.
        """
        found: dict[nn.GroupNorm, list[Moments]] = {}

        def measure(norm: nn.GroupNorm, values: torch.Tensor) -> torch.Tensor:
            grouped = values.float().reshape(len(values), norm.num_groups, -1)
            variance, mean = torch.var_mean(grouped, (0, 2), correction=0)
            # On the processor, because not every device has float64.
            own = Moments(len(values) * grouped.shape[2], mean.cpu().double(), variance.cpu().double())
            found.setdefault(norm, []).append(own)
            return _normalise(norm, own, values)

        def compute() -> torch.Tensor:
            found.clear()
            with ExitStack() as stack:
                for norm in (norm for part in parts for norm in part.norms):
                    stack.enter_context(replace_forward(norm, partial(measure, norm)))
                for batch in _spread(samples, together):
                    values = self.to_device(batch)
                    for part in parts:
                        values = part.run(values)
            pooled = {norm: _pool(moments) for norm, moments in found.items()}
            self._statistics |= pooled
            return torch.cat([torch.cat([known.mean, known.variance]) for known in pooled.values()])

        together = min(together, len(samples))
        while True:
            try:
                self.run_with_fp32_retry(compute)
                return
            except OutOfMemory:
                if together == 1:
                    raise
            together //= 2
            log.warning("out of memory on %s in the VAE: taking %d samples together.", self._device, together)

    def run_in_tiles(self, rows: Rows, size: Size, part: CoderPart, tile: int) -> Iterator[torch.Tensor]:
        """Yields the part's result on a canvas, as rows that cover it once. Tiles have a halo, which is cut off.

        The canvas's sides and `tile` are multiples of `part.down`. A tile that does not fit into memory is halved.
        """
        for y in range(0, size.height, tile):
            height, top = min(tile, size.height - y), max(y - part.halo, 0)
            strip = rows(top, min(y + height + part.halo, size.height))
            regions = [Region(x, y - top, min(tile, size.width - x), height) for x in range(0, size.width, tile)]
            yield torch.cat([self._tile(strip, region, part) for region in regions], -1)

    def run_in_windows(self, rows: Rows, windows: Grid, part: CoderPart) -> Iterator[torch.Tensor]:
        """Yields the part's result on a canvas, as rows that cover it once, from windows joined by their weights."""
        carried: torch.Tensor | None = None
        starts, columns = windows.y.starts, axis_weights(windows.x)
        for index, weights in enumerate(axis_weights(windows.y)):
            strip = rows(starts[index], starts[index] + windows.y.window)
            total = torch.zeros(0)
            for x, column in zip(windows.x.starts, columns, strict=True):
                result = self.run(part, strip[..., x : x + windows.x.window])
                if x == 0:
                    total = torch.zeros(*result.shape[:-1], windows.x.length)
                total[..., x : x + windows.x.window] += result.float() * (weights[:, None] * column)
            if carried is not None:
                total[..., : carried.shape[-2], :] += carried
            finished = (*starts[1:], windows.y.length)[index] - starts[index]
            yield total[..., :finished, :].to(strip.dtype)
            carried = total[..., finished:, :]

    def close(self) -> None:
        """Restores the VAE's former precision."""
        if self._dtype != self._before:
            nn.Module.to(self._vae, self._before)  # the method of diffusers would log advice on loading

    def to_device(self, values: torch.Tensor) -> torch.Tensor:
        """Moves a tensor to the VAE's device, in its precision."""
        return values.to(self._device, self._dtype)

    def run_with_fp32_retry(self, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Returns the result on the CPU; if not finite, continues in float32. Raises OutOfMemory, EngineError."""
        try:
            while True:
                with torch.no_grad():
                    result = compute()
                    if result.isfinite().all():
                        return result.cpu()
                del result
                if self._dtype == torch.float32:
                    raise EngineError(
                        "the VAE gives NaN or infinity, in float32 too. Its file is damaged: fetch it again."
                    )
                name = dtype_name(self._dtype)
                log.warning("the VAE gives NaN or infinity in %s. It is computed again in fp32.", name)
                self._vae.float()
                self._dtype = torch.float32
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"out of memory on {self._device} in the VAE, even with small tiles. "
                "Choose another device, or close other programs."
            ) from error

    def _tile(self, strip: torch.Tensor, region: Region, part: CoderPart) -> torch.Tensor:
        """Computes a region of a strip, with a halo as far as there are rows and columns; if too large, in halves."""
        halo = part.halo
        x, y = max(region.x - halo, 0), max(region.y - halo, 0)
        tile = strip[..., y : region.y + region.height + halo, x : region.x + region.width + halo]
        result: torch.Tensor | None = None
        try:
            result = self.run(part, tile)
        except OutOfMemory:
            if max(region.width, region.height) < 2 * max(SMALLEST, part.down):
                raise
        if result is None:  # computed here, because an exception that is being handled keeps what failed in memory
            if not self._statistics.keys() >= set(part.norms):  # the whole canvas, the strip, was to be one tile
                canvas = Size(strip.shape[-1], strip.shape[-2])
                self.learn((part,), take_samples(rows_of_tensor(strip), canvas, part.down))
            half = -(-max(region.width, region.height) // (2 * part.down)) * part.down
            if region.width > region.height:
                along, rest = -1, replace(region, x=region.x + half, width=region.width - half)
                first = replace(region, width=half)
            else:
                along, rest = -2, replace(region, y=region.y + half, height=region.height - half)
                first = replace(region, height=half)
            return torch.cat([self._tile(strip, each, part) for each in (first, rest)], along)
        own = replace(region, x=region.x - x, y=region.y - y)
        x, y, width, height = (side * part.up // part.down for side in (own.x, own.y, own.width, own.height))
        return result[..., y : y + height, x : x + width]


def take_samples(rows: Rows, size: Size, cell: int) -> list[torch.Tensor]:
    """Crops samples from all over a canvas, row by row; see SAMPLE and SAMPLES."""
    side = SAMPLE * cell
    across, down = (_places(length, side, cell) for length in (size.width, size.height))
    samples = []
    for y in down:
        strip = rows(y, min(y + side, size.height))
        samples += [strip[..., x : x + side].clone() for x in across]
    return samples


def _places(length: int, side: int, cell: int) -> list[int]:
    """Returns where samples begin, evenly spread, at multiples of `cell`."""
    count = min(max(min(SAMPLES, -(-length // side)), length // (2 * side)), MOST_SAMPLES)
    middles = ((index + 0.5) * length / count for index in range(count))
    return [int(min(max(middle - side / 2, 0), max(length - side, 0))) // cell * cell for middle in middles]


def _spread(samples: Sequence[torch.Tensor], together: int) -> list[torch.Tensor]:
    """Makes batches of samples that come row by row: each is from all over the canvas, spread by the golden ratio."""
    order = sorted(range(len(samples)), key=lambda index: index * GOLDEN % 1)
    count = -(-len(samples) // together)
    ends = [index * len(samples) // count for index in range(count + 1)]
    return [torch.cat([samples[index] for index in order[first:last]]) for first, last in pairwise(ends)]


def _pool(parts: Sequence[Moments]) -> Moments:
    """Returns the moments of all parts together: the mean of their variances plus the variance of their means."""
    count = sum(part.count for part in parts)
    mean = sum((part.mean * (part.count / count) for part in parts), torch.zeros(()))
    spread = ((part.variance + (part.mean - mean) ** 2) * (part.count / count) for part in parts)
    return Moments(count, mean, sum(spread, torch.zeros(())))


def _normalise(norm: nn.GroupNorm, known: Moments, values: torch.Tensor) -> torch.Tensor:
    """Applies the norm with these moments, as a batch norm in evaluation whose channels share those of their group."""
    each = values.shape[1] // norm.num_groups
    mean, variance, weight, bias = (
        data.to(values.device, torch.float32)
        for data in (known.mean.repeat_interleave(each), known.variance.repeat_interleave(each), norm.weight, norm.bias)
    )
    return nn.functional.batch_norm(values, mean, variance, weight, bias, eps=norm.eps)
