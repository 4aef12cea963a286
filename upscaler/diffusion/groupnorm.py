"""Group norms that use given statistics instead of those of the tile they are shown, and how such are come by."""

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
from .patch import replaced


@dataclass(frozen=True, slots=True)
class Moments:
    """Of the values of each group of channels: float64, (groups,)."""

    count: int
    mean: torch.Tensor
    variance: torch.Tensor


Statistics: TypeAlias = dict[nn.GroupNorm, Moments]
"""In the order in which the norms are computed."""


@contextmanager
def frozen(statistics: Statistics) -> Iterator[None]:
    """While open, these norms normalise by these moments: the same at every place, whatever tile it is computed in."""
    with ExitStack() as stack:
        for norm, known in statistics.items():
            stack.enter_context(replaced(norm, partial(_normalised, norm, known)))
        yield


def from_samples(
    norms: Iterable[nn.GroupNorm], run: Callable[[torch.Tensor], object], batches: Iterable[torch.Tensor]
) -> Statistics:
    """Moments pooled over batches of samples of a canvas.

    While it is measured, every batch is normalised by its own moments: so each should be of samples from all over.
    """
    found: dict[nn.GroupNorm, list[Moments]] = {}

    def measure(norm: nn.GroupNorm, values: torch.Tensor) -> torch.Tensor:
        own = moments(values, norm.num_groups)
        found.setdefault(norm, []).append(own)
        return _normalised(norm, own, values)

    with ExitStack() as stack:
        for norm in norms:
            stack.enter_context(replaced(norm, partial(measure, norm)))
        for batch in batches:
            run(batch)
    return {norm: pooled(parts) for norm, parts in found.items()}


def from_tiles(
    norms: Iterable[nn.GroupNorm],
    run: Callable[[torch.Tensor], object],
    tiles: Callable[[], Iterable[tuple[torch.Tensor, Region]]],
) -> Statistics:
    """Moments of a whole canvas that is only ever seen in tiles: tensors, each with the part of it that is its own.

    A norm depends on those before it, so that for every norm all tiles are run once more, up to there.
    """
    first = [tile for tile, _ in islice(tiles(), 1)]
    known: Statistics = {}
    for norm in from_samples(norms, run, first):
        found: list[Moments] = []
        for tile, own in tiles():
            stop = partial(_measure_and_stop, found, norm, tile, own)
            with frozen(known), replaced(norm, stop), suppress(_Stopped):
                run(tile)
        known[norm] = pooled(found)
    return known


def moments(values: torch.Tensor, groups: int) -> Moments:
    """Those of a tensor (samples, channels, height, width), its samples taken together."""
    grouped = values.float().reshape(len(values), groups, -1)
    variance, mean = torch.var_mean(grouped, (0, 2), correction=0)
    return Moments(len(values) * grouped.shape[2], mean.double().cpu(), variance.double().cpu())


def pooled(parts: Sequence[Moments]) -> Moments:
    """Moments of all parts together: the mean of their variances, and the variance of their means."""
    count = sum(part.count for part in parts)
    mean = sum((part.mean * (part.count / count) for part in parts), torch.zeros(()))
    spread = ((part.variance + (part.mean - mean) ** 2) * (part.count / count) for part in parts)
    return Moments(count, mean, sum(spread, torch.zeros(())))


class _Stopped(Exception):
    """A norm has been reached, and the rest of the network need not be computed."""


def _measure_and_stop(
    found: list[Moments], norm: nn.GroupNorm, tile: torch.Tensor, own: Region, values: torch.Tensor
) -> None:
    """`own` is in cells of the tile, whose resolution the network may have changed before the norm."""
    rows, columns = (
        slice(start * now // before, (start + length) * now // before)
        for start, length, now, before in (
            (own.y, own.height, values.shape[-2], tile.shape[-2]),
            (own.x, own.width, values.shape[-1], tile.shape[-1]),
        )
    )
    found.append(moments(values[..., rows, columns], norm.num_groups))
    raise _Stopped


def _normalised(norm: nn.GroupNorm, known: Moments, values: torch.Tensor) -> torch.Tensor:
    """What the norm does, with these moments: a batch norm in evaluation, whose channels share those of their group."""
    each = values.shape[1] // norm.num_groups
    mean, variance, weight, bias = (
        it.to(values.device, torch.float32)
        for it in (known.mean.repeat_interleave(each), known.variance.repeat_interleave(each), norm.weight, norm.bias)
    )
    return nn.functional.batch_norm(values, mean, variance, weight, bias, eps=norm.eps)
