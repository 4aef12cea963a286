"""A VAE while it is used: where it computes, with what precision, and with which statistics of the canvas."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch

from ..device import dtype_name
from ..errors import EngineError, OutOfMemory
from ..tiling import Region
from .coders import Part
from .groupnorm import Statistics, freeze, from_samples, from_tiles

log = logging.getLogger("upscaler")

TOGETHER = 14
"""Samples that are run as one batch: with 24x24 latents each, they take as much memory as a tile of 64 latents with its
halo, about."""

GOLDEN = (5**0.5 - 1) / 2


class Session:
    """Computes a VAE in parts: tensors go to its device and come back from there. Made by `open_session`."""

    def __init__(self, vae: Any) -> None:
        hook = getattr(vae, "_hf_hook", None)
        if hook is not None:  # of offloading, which expects this before any other method than `forward`
            hook.pre_forward(vae)
        self._vae = vae
        self._device = torch.device(getattr(hook, "execution_device", None) or next(vae.parameters()).device)
        self._dtype: torch.dtype = vae.dtype
        self._statistics: Statistics = {}
        self._too_large: dict[Part, int] = {}

    def run(self, part: Part, values: torch.Tensor) -> torch.Tensor:
        """The part's result, its norms using the statistics learnt. Raises OutOfMemory, EngineError."""
        if values.numel() >= self._too_large.get(part, values.numel() + 1):
            raise OutOfMemory("a tensor of this size did not fit before.")
        known = {norm: self._statistics[norm] for norm in part.norms if norm in self._statistics}
        try:
            with freeze(known):
                return self.safely(lambda: part.run(self.to_device(values)))
        except OutOfMemory:
            log.warning("out of memory on %s in the VAE: smaller tiles from here on.", self._device)
            self._too_large[part] = values.numel()
            raise

    def learn_from_samples(
        self, parts: Sequence[Part], samples: Sequence[torch.Tensor], together: int = TOGETHER
    ) -> None:
        """Learns statistics for the norms of parts in a row, from samples of the input of the first of them."""

        def run(values: torch.Tensor) -> None:
            for part in parts:
                values = part.run(values)

        norms = [norm for part in parts for norm in part.norms]
        try:
            self._learn(lambda: from_samples(norms, run, map(self.to_device, _spread(samples, together))))
        except OutOfMemory:
            if together == 1:
                raise
            log.warning("out of memory on %s in the VAE: taking %d samples together.", self._device, together // 2)
            self.learn_from_samples(parts, samples, together // 2)

    def learn_from_tiles(self, part: Part, tiles: Callable[[], Iterable[tuple[torch.Tensor, Region]]]) -> None:
        """Learns statistics for the norms of a part, from all of its input."""

        def on_device() -> Iterator[tuple[torch.Tensor, Region]]:
            return ((self.to_device(tile), own) for tile, own in tiles())

        self._learn(lambda: from_tiles(part.norms, part.run, on_device))

    def to_device(self, values: torch.Tensor) -> torch.Tensor:
        """The tensor on the VAE's device, in its precision."""
        return values.to(self._device, self._dtype)

    def safely(self, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The result on the CPU. If it is not finite, the VAE continues in float32. Raises OutOfMemory, EngineError."""
        try:
            with torch.no_grad():
                result = compute()
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"out of memory on {self._device} in the VAE, even with small tiles. "
                "Choose another device, or close other programs."
            ) from error
        if result.isfinite().all():
            return result.cpu()
        if self._dtype == torch.float32:
            raise EngineError("the VAE gives NaN or infinity, in float32 too. Its file is damaged: fetch it again.")
        log.warning("the VAE gives NaN or infinity in %s. It is computed again in fp32.", dtype_name(self._dtype))
        self._vae.float()
        self._dtype = torch.float32
        return self.safely(compute)

    def _learn(self, measure: Callable[[], Statistics]) -> None:
        def compute() -> torch.Tensor:
            found = measure()
            self._statistics |= found
            return torch.cat([torch.cat([known.mean, known.variance]) for known in found.values()])

        self.safely(compute)


@contextmanager
def open_session(vae: Any) -> Iterator[Session]:
    """A session with the VAE, which has its former precision back afterwards."""
    before = vae.dtype
    try:
        yield Session(vae)
    finally:
        if vae.dtype != before:
            torch.nn.Module.to(vae, before)  # the method of diffusers would log advice on loading


def _spread(samples: Sequence[torch.Tensor], together: int) -> list[torch.Tensor]:
    """Batches of samples, which come row by row: each batch is from all over the canvas, spread by the golden ratio."""
    order = sorted(range(len(samples)), key=lambda index: index * GOLDEN % 1)
    count = -(-len(samples) // together)
    ends = [index * len(samples) // count for index in range(count + 1)]
    return [torch.cat([samples[index] for index in order[first:last]]) for first, last in pairwise(ends)]
