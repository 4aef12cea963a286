"""A GPU's memory as a surface: torch. Nothing here waits for the GPU but what says so."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ..arrays import FloatArray, PixelArray, Pixels
from ..device import own_error, release, report_loss
from ..errors import OutOfMemory, UpscalerError
from ..tiling import Region, Size
from . import linear
from .statistics import FLAT, Statistics, edges
from .transfer import DeviceWriter, fetch, upload


class Device:
    """A `Surface`; see there for what the methods do. Pixels are tensors; uint16 is int16 with the same bits."""

    strip_values = 8 * 2**20
    """As float32 32 MiB: much to do for each of the GPU's kernels, and little of its memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def bring(self, pixels: Pixels) -> torch.Tensor:
        return upload(pixels, self._device) if isinstance(pixels, np.ndarray) else pixels.to(self._device)

    def empty(self, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.empty(shape, device=self._device)

    def copy(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.clone(memory_format=torch.contiguous_format)

    def concatenate(self, parts: Sequence[torch.Tensor], axis: int = 0) -> torch.Tensor:
        return torch.cat(list(parts), axis)

    def stack(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.stack(list(parts))

    def take(self, pixels: torch.Tensor, indices: NDArray[np.intp], axis: int) -> torch.Tensor:
        return pixels.index_select(axis, self.bring(indices))

    def to_float(self, pixels: torch.Tensor) -> torch.Tensor:
        if pixels.dtype == torch.uint8:
            return pixels.float().div_(255)
        if pixels.dtype == torch.int16:
            return (pixels.int() & 0xFFFF).float().div_(65535)
        return pixels.float()

    def clip(self, pixels: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        return out.copy_(pixels).clamp_(0, 1)

    def shrink(self, pixels: torch.Tensor, factor: int) -> torch.Tensor:
        height, width, channels = pixels.shape
        return pixels.reshape(height // factor, factor, width // factor, factor, channels).mean((1, 3))

    def smooth(self, pixels: torch.Tensor, kernel: FloatArray) -> torch.Tensor:
        return linear.smooth(pixels, self.bring(kernel))

    def enlarge(self, pixels: torch.Tensor, factor: int) -> torch.Tensor:
        planes = pixels.permute(2, 0, 1)[None]
        return functional.interpolate(planes, scale_factor=factor, mode="bilinear")[0].permute(1, 2, 0)

    def resize(
        self, pixels: torch.Tensor, size: Size, box: tuple[float, float, float, float] | None = None
    ) -> torch.Tensor:
        whole = (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
        return linear.resize(pixels.float(), size.width, size.height, box or whole, self.bring)

    def interpolate(self, grid: FloatArray, size: Size, part: Region) -> torch.Tensor:
        cells = self.bring(grid)
        sides = (part.y, part.height, size.height), (part.x, part.width, size.width)
        for axis, (first, count, length) in enumerate(sides):
            most = grid.shape[axis]
            # Positions in cells are fractions of whole numbers, so that they are exact.
            position = (2 * torch.arange(first, first + count, device=self._device) + 1) * most - length
            cell = position.div(2 * length, rounding_mode="floor")
            share = (position - 2 * length * cell).float() / (2 * length)
            before, after = (cells.index_select(axis, (cell + step).clamp(0, most - 1)) for step in (0, 1))
            cells = before + (after - before) * (share[:, None] if axis == 0 else share)
        return cells

    def extremes(self, pixels: torch.Tensor, factor: int) -> tuple[torch.Tensor, torch.Tensor]:
        planes = pixels.permute(2, 0, 1)[None]
        least, greatest = -functional.max_pool2d(-planes, 3, 1, 1), functional.max_pool2d(planes, 3, 1, 1)
        low, high = (
            edge[0].permute(1, 2, 0).repeat_interleave(factor, 0).repeat_interleave(factor, 1)
            for edge in (least, greatest)
        )
        return low, high

    def sum_squares(self, pixels: torch.Tensor) -> Pixels:
        return pixels.square().sum()

    def round(self, pixels: torch.Tensor, full: int) -> torch.Tensor:
        whole = (pixels.float() * full).round_().clamp_(0, full)
        return whole.to(torch.uint8) if full == 255 else whole.int().short()

    def writer(self, canvas: PixelArray) -> DeviceWriter:
        return DeviceWriter(self._device, canvas)

    def measure(
        self, sources: torch.Tensor, results: torch.Tensor, previous: tuple[torch.Tensor, torch.Tensor] | None
    ) -> Callable[[], list[Statistics]]:
        sampled = results[:, ::9, ::7]
        single = [
            sources.std((1, 2), correction=0).amax(1),
            results.std((1, 2), correction=0).amax(1),
            (sampled.amax((1, 2)) - sampled.amin((1, 2))).amax(1),
            _repeats(results, None if previous is None else previous[1]),
            _repeats(sources, None if previous is None else previous[0]),
        ]
        blocks = [_blocks(pixels) for pixels in (sources, results)]
        numbers = fetch(
            torch.cat([*(part.flatten(1) for part in blocks), torch.stack([part.float() for part in single], 1)], 1)
        )
        shapes = [part.shape[1:] for part in blocks]

        def wait() -> list[Statistics]:
            found = []
            for row in numbers():
                ours, theirs, rest = np.split(row, np.cumsum([shape.numel() for shape in shapes]))
                contrast, deviation, spread, is_same_result, is_same_source = map(float, rest)
                is_flat = spread < 100 * FLAT and deviation < FLAT
                is_stale = bool(is_same_result and not is_same_source and not is_flat)
                source, result = ours.reshape(shapes[0]), theirs.reshape(shapes[1])
                found.append(Statistics(source, result, contrast, is_flat, is_stale))
            return found

        return wait

    @contextmanager
    def errors(self) -> Iterator[None]:
        problem: Exception
        try:
            with report_loss(self._device):
                yield
            return
        except UpscalerError:
            raise
        except Exception as error:
            problem = own_error(error, self._device)
        if isinstance(problem, OutOfMemory):
            release()
        raise problem


@functools.cache
def device_surface(name: str) -> Device:
    """Returns the surface of a device by its name, such as "cuda:0"."""
    return Device(torch.device(name))


def _blocks(pixels: torch.Tensor) -> torch.Tensor:
    """Returns means of parts of tiles, (tiles, rows, columns, channels); see `Statistics`."""
    rows, columns = (edges(side) for side in pixels.shape[1:3])
    strips = torch.stack([pixels[:, first:last].mean(1) for first, last in rows], 1)
    return torch.stack([strips[:, :, first:last].mean(2) for first, last in columns], 2).float()


def _repeats(tiles: torch.Tensor, previous: torch.Tensor | None) -> torch.Tensor:
    """Returns for each tile whether it equals the one before it."""
    if previous is None or previous.shape != tiles.shape[1:]:
        first = torch.zeros((), dtype=torch.bool, device=tiles.device)
    else:
        first = tiles[0].eq(previous).all()
    return torch.cat([first[None], (tiles[1:] == tiles[:-1]).flatten(1).all(1)])
