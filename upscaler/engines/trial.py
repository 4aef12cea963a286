"""Tries a network of torch on one tile, and observes the memory that it takes and the operations that it uses."""

from __future__ import annotations

import copy
import functools
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from .trunk import Tail

Function: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Maps tiles (tiles, channels, height, width), float32, 0..1, to their enlargements."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A tile and its result, and what was observed during the computation."""

    tile: torch.Tensor
    result: torch.Tensor
    bytes_per_pixel: float
    """Bytes alive at once for each source pixel, in float32."""
    elements_per_pixel: float
    """Elements of the largest tensor for each source pixel."""
    uses_grid_sample: bool
    """Whether pixels are looked up by coordinates, for which half precision has too few digits: it would move them."""
    is_stochastic: bool
    """Whether the network draws random numbers."""
    fixed_bytes: float = 0.0
    """Bytes alive beside those of `bytes_per_pixel`, whatever the size of the tile, in float32."""


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors alive at once, and notes the largest of them and which operations there are."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak: int = 0
        self.largest: int = 0
        self.operations: set[str] = set()
        self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations.add(str(func))
        for value in tree_iter(result):
            if isinstance(value, torch.Tensor):
                self.largest = max(self.largest, value.numel())
                self._count(value.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            self._now += storage.nbytes()
            self.peak = max(self.peak, self._now)
            weakref.finalize(storage, functools.partial(self._forget, key, storage.nbytes()))

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


def try_out(function: Function, tile: torch.Tensor) -> Trial:
    """Computes one tile in float32 and observes memory and operations."""
    with _Watch() as watch, torch.inference_mode():
        result = function(tile)
    pixels = tile.shape[2] * tile.shape[3]
    return Trial(
        tile,
        result,
        bytes_per_pixel=watch.peak / pixels,
        elements_per_pixel=watch.largest / pixels,
        uses_grid_sample=any("grid_sampler" in name for name in watch.operations),
        is_stochastic=any("rand" in name or "normal_" in name for name in watch.operations),
    )


def measure_divided(trial: Trial, model: torch.nn.Module, channels: int, scale: int) -> Trial:
    """Returns a trial with what tiles of usual sizes need of a network that `trunk.divide` has divided.

    Its tensors have no content there, so that nothing is computed.
    """
    model = copy.deepcopy(model).to("meta")
    tail = next(module for module in model.modules() if isinstance(module, Tail))
    features: list[torch.Tensor] = []

    def leave_out(tensor: torch.Tensor) -> torch.Tensor:
        features.append(tensor)
        tiles, _, height, width = tensor.shape
        return tensor.new_empty((tiles, channels, height * tail.scale, width * tail.scale))

    tail.forward = leave_out  # type: ignore[method-assign, assignment]
    side = 2 * tail.side * tail.scale // scale
    trunks = []
    for height in (side // 2, side):
        tile = torch.empty((1, channels, height, side), device="meta", memory_format=torch.channels_last)
        with _Watch() as watch, torch.inference_mode():
            model(tile)
        trunks.append(watch)
    widened = tail.side + 2 * tail.reach
    with _Watch() as part, torch.inference_mode():
        tail.layers(features[-1][:, :, :widened, :widened])
    at_the_end = 4 * (features[-1].numel() / side**2 + channels * scale**2)
    return replace(
        trial,
        bytes_per_pixel=max((trunks[1].peak - trunks[0].peak) / (side**2 / 2), at_the_end),
        fixed_bytes=part.peak,
        elements_per_pixel=max(trunks[1].largest / side**2, channels * scale**2),
    )
