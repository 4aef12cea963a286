"""Group norms that use given statistics instead of those of the tile they see, and how to measure such statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeAlias

import torch
from torch import nn

from ..tiling import Region
from .patch import replace_forward


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and variance of each group of channels, float64 (groups,), over so many values."""

    count: int
    mean: torch.Tensor
    variance: torch.Tensor


Statistics: TypeAlias = dict[nn.GroupNorm, Moments]
"""Moments of norms, in the order in which these are computed."""


@contextmanager
def freeze(statistics: Statistics) -> Iterator[None]:
    """While open, the norms use these moments, so that a pixel does not depend on the tile it is computed in."""
    with ExitStack() as stack:
        for norm, known in statistics.items():
            stack.enter_context(replace_forward(norm, partial(_normalise, norm, known)))
        yield


def from_samples(
    norms: Iterable[nn.GroupNorm], run: Callable[[torch.Tensor], object], batches: Iterable[torch.Tensor]
) -> Statistics:
    """Moments pooled over batches of samples of a canvas.

    While they are measured, every batch is normalised by its own moments, so each should have samples from everywhere.
    """
    found: dict[nn.GroupNorm, list[Moments]] = {}

    def measure(norm: nn.GroupNorm, values: torch.Tensor) -> torch.Tensor:
        own = measure_moments(values, norm.num_groups)
        found.setdefault(norm, []).append(own)
        return _normalise(norm, own, values)

    with ExitStack() as stack:
        for norm in norms:
            stack.enter_context(replace_forward(norm, partial(measure, norm)))
        for batch in batches:
            run(batch)
    return {norm: pool(parts) for norm, parts in found.items()}


def from_tiles(
    norms: Iterable[nn.GroupNorm],
    run: Callable[[torch.Tensor], object],
    tiles: Callable[[], Iterable[tuple[torch.Tensor, Region]]],
) -> Statistics:
    """Moments of a canvas that is seen in tiles alone: tensors, each with the part of it that no other tile has.

    A norm depends on those before it, so for every norm all tiles are run once more, up to that norm.
    """
    first = [tile for tile, _ in islice(tiles(), 1)]
    known: Statistics = {}
    for norm in from_samples(norms, run, first):
        found: list[Moments] = []
        for tile, own in tiles():
            stop = partial(_measure_and_stop, found, norm, tile, own)
            with freeze(known), replace_forward(norm, stop), suppress(_Stopped):
                run(tile)
        known[norm] = pool(found)
    return known


def measure_moments(values: torch.Tensor, groups: int) -> Moments:
    """The moments of a tensor (samples, channels, height, width), its samples taken together."""
    grouped = values.float().reshape(len(values), groups, -1)
    variance, mean = torch.var_mean(grouped, (0, 2), correction=0)
    return Moments(len(values) * grouped.shape[2], mean.double().cpu(), variance.double().cpu())


def pool(parts: Sequence[Moments]) -> Moments:
    """Moments of all parts together: the mean of their variances, and the variance of their means."""
    count = sum(part.count for part in parts)
    mean = sum((part.mean * (part.count / count) for part in parts), torch.zeros(()))
    spread = ((part.variance + (part.mean - mean) ** 2) * (part.count / count) for part in parts)
    return Moments(count, mean, sum(spread, torch.zeros(())))


class _Stopped(Exception):
    """A norm has been reached; the rest of the network need not be computed."""


def _measure_and_stop(
    found: list[Moments], norm: nn.GroupNorm, tile: torch.Tensor, own: Region, values: torch.Tensor
) -> None:
    """Adds the moments of the `own` part of a tile, given in cells of the tile; the network may have changed the
    resolution before the norm."""
    rows, columns = (
        slice(start * now // before, (start + length) * now // before)
        for start, length, now, before in (
            (own.y, own.height, values.shape[-2], tile.shape[-2]),
            (own.x, own.width, values.shape[-1], tile.shape[-1]),
        )
    )
    found.append(measure_moments(values[..., rows, columns], norm.num_groups))
    raise _Stopped


def _normalise(norm: nn.GroupNorm, known: Moments, values: torch.Tensor) -> torch.Tensor:
    """Applies the norm with these moments, as a batch norm in evaluation whose channels share those of their group."""
    each = values.shape[1] // norm.num_groups
    mean, variance, weight, bias = (
        it.to(values.device, torch.float32)
        for it in (known.mean.repeat_interleave(each), known.variance.repeat_interleave(each), norm.weight, norm.bias)
    )
    return nn.functional.batch_norm(values, mean, variance, weight, bias, eps=norm.eps)
