"""The host's memory as a surface: numpy, OpenCV and Pillow. Needs no torch unless tensors are brought to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, PixelArray, Pixels, to_float
from ..picture import resize
from ..tiling import Region, Size
from .statistics import Statistics, measure_tile


class Host:
    """A `Surface`; see there for what the methods do. Pixels are numpy arrays."""

    strip_values = 0

    def bring(self, pixels: Pixels) -> Pixels:
        return pixels if isinstance(pixels, np.ndarray) else pixels.float().cpu().numpy()

    def empty(self, shape: tuple[int, ...]) -> FloatArray:
        return np.empty(shape, np.float32)

    def copy(self, pixels: FloatArray) -> FloatArray:
        return pixels.copy()

    def concatenate(self, parts: Sequence[FloatArray], axis: int = 0) -> FloatArray:
        return np.concatenate(parts, axis)

    def stack(self, parts: Sequence[FloatArray]) -> FloatArray:
        return np.stack(parts)

    def take(self, pixels: Any, indices: NDArray[np.intp], axis: int) -> Any:
        return pixels[indices] if axis == 0 else pixels[:, indices]

    def to_float(self, pixels: PixelArray | FloatArray) -> FloatArray:
        part: Any = pixels
        return part if part.dtype == np.float32 else to_float(part)

    def clip(self, pixels: FloatArray, out: FloatArray) -> FloatArray:
        return np.clip(pixels, 0.0, 1.0, out=out)

    def shrink(self, pixels: FloatArray, factor: int) -> FloatArray:
        height, width, channels = pixels.shape
        size = (width // factor, height // factor)
        return _layered(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), channels)

    def smooth(self, pixels: FloatArray, kernel: FloatArray) -> FloatArray:
        smooth = cv2.sepFilter2D(pixels, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
        return _layered(smooth, pixels.shape[2])

    def enlarge(self, pixels: FloatArray, factor: int) -> FloatArray:
        height, width, channels = pixels.shape
        size = (width * factor, height * factor)
        return _layered(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), channels)

    def resize(
        self, pixels: FloatArray, size: Size, box: tuple[float, float, float, float] | None = None
    ) -> FloatArray:
        return resize(pixels, size, box)

    def interpolate(self, grid: FloatArray, size: Size, part: Region) -> FloatArray:
        across, down = grid.shape[1] / size.width, grid.shape[0] / size.height
        first = across * (part.x + 0.5) - 0.5, down * (part.y + 0.5) - 0.5
        matrix = np.array([[across, 0, first[0]], [0, down, first[1]]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        sides = (part.width, part.height)
        values: Any = cv2.warpAffine(grid, matrix, sides, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(values, np.float32)

    def extremes(self, pixels: FloatArray, factor: int) -> tuple[FloatArray, FloatArray]:
        around = np.ones((3, 3), np.uint8)
        least, greatest = (_layered(compute(pixels, around), pixels.shape[2]) for compute in (cv2.erode, cv2.dilate))
        return least.repeat(factor, 0).repeat(factor, 1), greatest.repeat(factor, 0).repeat(factor, 1)

    def sum_squares(self, pixels: FloatArray) -> float:
        return float(np.square(pixels).sum(dtype=np.float64))

    def round(self, pixels: FloatArray, full: int) -> PixelArray:
        # addWeighted is OpenCV's one call that scales, rounds and saturates at once; the second operand has no weight.
        code = cv2.CV_16U if full > 255 else cv2.CV_8U
        whole: Any = cv2.addWeighted(pixels, float(full), pixels, 0.0, 0.0, dtype=code)
        result: PixelArray = whole.reshape(pixels.shape)
        return result

    def writer(self, canvas: PixelArray) -> HostWriter:
        return HostWriter(canvas)

    def measure(
        self, sources: FloatArray, results: FloatArray, previous: tuple[FloatArray, FloatArray] | None
    ) -> Callable[[], list[Statistics]]:
        before = [previous, *zip(sources, results, strict=True)][: len(sources)]
        tiles = zip(sources, results, before, strict=True)
        found = [measure_tile(source, result, known) for source, result, known in tiles]
        return lambda: found

    def errors(self) -> AbstractContextManager[None]:
        return nullcontext()


class HostWriter:
    """A `Writer` that copies."""

    def __init__(self, canvas: PixelArray) -> None:
        self._canvas = canvas

    def __enter__(self) -> HostWriter:
        return self

    def __exit__(self, *error: object) -> None:
        """Waits for nothing."""

    def write(self, y: int, whole: PixelArray) -> None:
        self._canvas[y : y + len(whole)] = whole


def _layered(pixels: Any, channels: int) -> FloatArray:
    """Returns what OpenCV made as (height, width, channels): it leaves the only channel out."""
    result: FloatArray = pixels.reshape(*pixels.shape[:2], channels)
    return result


HOST = Host()
