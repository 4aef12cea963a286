"""The contract of a surface: what the steps need of numpy or torch, where these are not spelled alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, PixelArray, Pixels
from ..tiling import Region, Size
from .host import HOST
from .statistics import Statistics

GPUS = ("cuda", "xpu", "mps")
"""The kinds of device whose engines take and return tensors of the device."""


class Writer(Protocol):
    """Writes whole numbers into a canvas. Leaving its context waits until all of them are there."""

    def __enter__(self) -> Writer: ...

    def __exit__(self, *error: object) -> None: ...

    def write(self, y: int, whole: Pixels) -> None:
        """Writes rows of whole numbers, as `Surface.round` returns them, into the canvas from row `y` on."""
        ...


class Surface(Protocol):
    """Where pixels lie: in the host's memory or in a GPU's. Pixels are (rows, width, channels) unless a method says
    else, and float32 where they are not said to be whole numbers."""

    @property
    def strip_values(self) -> int:
        """Numbers that are computed at a time, at least; 0 on the host, where few rows stay in the processor's cache,
        and many on a GPU, which is not busy with few."""
        ...

    def bring(self, pixels: Pixels) -> Pixels:
        """Returns pixels of any surface on this one. Sources are whole numbers and remain so; uint16 becomes int16 with
        the same bits where there is none. Results come to the host as float32."""
        ...

    def empty(self, shape: tuple[int, ...]) -> Pixels: ...

    def copy(self, pixels: Pixels) -> Pixels: ...

    def concatenate(self, parts: Sequence[Pixels], axis: int = 0) -> Pixels: ...

    def stack(self, parts: Sequence[Pixels]) -> Pixels: ...

    def take(self, pixels: Pixels, indices: NDArray[np.intp], axis: int) -> Pixels:
        """Returns the rows (axis 0) or columns (axis 1) of these indices."""
        ...

    def to_float(self, pixels: Pixels) -> Pixels:
        """Converts whole numbers to 0..1, and floats of any precision to float32."""
        ...

    def clip(self, pixels: Pixels, out: Pixels) -> Pixels:
        """Writes pixels of any precision, clipped to 0..1, into `out`, and returns that."""
        ...

    def shrink(self, pixels: Pixels, factor: int) -> Pixels:
        """Shrinks by a whole factor: the means of squares."""
        ...

    def smooth(self, pixels: Pixels, kernel: FloatArray) -> Pixels:
        """Applies a symmetric kernel of odd length along both axes, reflected at the edges without doubling them."""
        ...

    def enlarge(self, pixels: Pixels, factor: int) -> Pixels:
        """Enlarges by a whole factor, linearly between the middles of pixels."""
        ...

    def resize(self, pixels: Pixels, size: Size, box: tuple[float, float, float, float] | None = None) -> Pixels:
        """Resizes as `picture.resize` does, by Pillow's Lanczos filter."""
        ...

    def interpolate(self, grid: FloatArray, size: Size, part: Region) -> Pixels:
        """Interpolates a grid (rows, columns) over a picture of that size linearly between the middles of its cells.

        Returns one part of the picture, (height, width).
        """
        ...

    def extremes(self, pixels: Pixels, factor: int) -> tuple[Pixels, Pixels]:
        """Returns the least and the greatest values of the 3x3 pixels around each, repeated `factor` times along both
        axes."""
        ...

    def sum_squares(self, pixels: Pixels) -> Pixels:
        """Returns the sum of squares; on a GPU as a tensor of one number, for which nobody waits yet."""
        ...

    def round(self, pixels: Pixels, full: int) -> Pixels:
        """Returns pixels of any precision, clipped and rounded to whole numbers 0..255 or 0..65535, whichever `full`
        says."""
        ...

    def writer(self, canvas: PixelArray) -> Writer:
        """Returns what writes whole numbers of this surface into a canvas of the host, (height, width, channels)."""
        ...

    def measure(
        self, sources: Pixels, results: Pixels, previous: tuple[Pixels, Pixels] | None
    ) -> Callable[[], list[Statistics]]:
        """Begins to measure tiles, (tiles, height, width, channels), and their results, of any precision.

        `previous` is the source and the result of the tile before. Returns a function that waits for the numbers.
        """
        ...

    def errors(self) -> AbstractContextManager[None]:
        """Raises OutOfMemory and DeviceLost for what torch raises in their place."""
        ...


def surface_for(device: str) -> Surface:
    """Returns the surface on which results of an engine on this device lie; see `EngineInfo.device`."""
    if device.partition(":")[0] not in GPUS:
        return HOST
    from .device import device_surface

    return device_surface(device)


def surface_of(pixels: Pixels) -> Surface:
    """Returns the surface on which pixels lie."""
    if isinstance(pixels, np.ndarray):
        return HOST
    from .device import device_surface

    return device_surface(str(pixels.device))
