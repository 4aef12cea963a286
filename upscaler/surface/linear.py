"""What is linear along an axis, as products with blocks of band matrices: with all digits of float32, and spelled alike
for every device. Tensors are (rows, width, channels), float32."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..device import PROCESS_SWITCHES, no_tf32
from ..picture.resample import LOBES

BLOCK = 64
"""Pixels that are computed by one product with a matrix: more are mostly zeros of the matrix, fewer mostly overlap."""


def smooth(pixels: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Applies a symmetric kernel of odd length along both axes, reflected at the edges without doubling them."""
    with _exact(pixels.device):
        once = _filter(pixels.transpose(0, 1), kernel)
        return _filter(once.transpose(0, 1), kernel)


def resize(
    pixels: torch.Tensor,
    width: int,
    height: int,
    box: tuple[float, float, float, float],
    bring: Callable[[Any], torch.Tensor],
) -> torch.Tensor:
    """Resizes the part of `box`, (left, top, right, bottom), by Pillow's Lanczos filter, along rows first as it does.

    `bring` brings arrays to the device.
    """
    left, top, right, bottom = box
    with _exact(pixels.device):
        columns = _resample(pixels.transpose(0, 1), width, left, right, bring)
        return _resample(columns.transpose(0, 1), height, top, bottom, bring)


def _filter(pixels: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Applies a kernel along the first axis."""
    length, radius = len(pixels), len(kernel) // 2
    blocks = -(-length // BLOCK)
    window = BLOCK + 2 * radius
    places = torch.arange(-radius, blocks * BLOCK + radius, device=pixels.device)
    period = max(2 * (length - 1), 1)
    folded = places.abs() % period
    extended = pixels.index_select(0, torch.minimum(folded, period - folded) % length)
    # Row i of the matrix holds the kernel from column i on.
    padded = torch.nn.functional.pad(kernel, (BLOCK - 1, BLOCK - 1))
    matrix = padded.unfold(0, window, 1).flip(0)
    windows = extended.flatten(1).unfold(0, window, BLOCK).transpose(1, 2).contiguous()
    return (matrix @ windows).reshape(blocks * BLOCK, *pixels.shape[1:])[:length]


def _resample(
    pixels: torch.Tensor, count: int, first: float, last: float, bring: Callable[[Any], torch.Tensor]
) -> torch.Tensor:
    """Makes `count` pixels along the first axis of those between `first` and `last`."""
    length = len(pixels)
    if count == length and (first, last) == (0, length):
        return pixels
    step = (last - first) / count
    stretch = max(step, 1.0)
    centers = first + (np.arange(count) + 0.5) * step
    starts = np.maximum((centers - LOBES * stretch + 0.5).astype(int), 0)
    counts = np.minimum((centers + LOBES * stretch + 0.5).astype(int), length) - starts
    bases = starts[::BLOCK]
    shifts = starts - bases.repeat(BLOCK)[:count]
    taps = int(counts.max())
    window = int(shifts.max()) + taps

    offset, most, shift = bring(np.stack([starts - centers + 0.5, counts, shifts]).astype(np.float32))[:, :, None]
    tap = torch.arange(taps, device=pixels.device)
    weights = torch.where(tap < most, _lanczos((tap + offset) / stretch), 0.0)
    weights /= weights.sum(1, keepdim=True)
    matrix = torch.zeros(len(bases) * BLOCK, window, device=pixels.device)
    matrix[:count].scatter_(1, tap + shift.long(), weights)

    places = (bring(bases)[:, None] + torch.arange(window, device=pixels.device)).clamp(max=length - 1)
    windows = pixels.index_select(0, places.flatten()).reshape(len(bases), window, -1)
    result = matrix.reshape(len(bases), BLOCK, window) @ windows
    return result.reshape(len(bases) * BLOCK, *pixels.shape[1:])[:count]


def _lanczos(distance: torch.Tensor) -> torch.Tensor:
    angle = math.pi * distance
    inside = LOBES * angle.sin() * (angle / LOBES).sin() / angle.square()
    return torch.where(distance.abs() < 1e-6, 1.0, torch.where(distance.abs() < LOBES, inside, 0.0))


@contextmanager
def _exact(device: torch.device) -> Iterator[None]:
    """Keeps CUDA from rounding products to TF32, if the program has allowed it to."""
    if device.type != "cuda" or not torch.backends.cuda.matmul.allow_tf32:
        yield
        return
    with PROCESS_SWITCHES, no_tf32():
        yield
