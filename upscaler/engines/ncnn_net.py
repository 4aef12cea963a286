"""A network in ncnn's form as ncnn runs it: loaded, and computed tile by tile."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays import FloatArray
from ..catalog.ncnn import Surroundings, Tail
from ..errors import EngineError, ModelError, OutOfMemory
from ..machine import count_processors
from ..tiling import divide_length
from ..vulkan import load_ncnn

OUT_OF_MEMORY = -100
"""The code that ncnn returns when it cannot allocate something."""

PART = 96
"""Side of a part of the tail, in pixels of the neck. It takes half a gigabyte for Real-ESRGAN x4plus; a twelfth of each
side is computed twice, which is 1.3 % of that network's work."""


@dataclass(frozen=True, slots=True)
class NcnnNetwork:
    """A graph and its weights on disk, and what has to be known to run them. All figures are for a source pixel."""

    param: Path
    bin: Path
    key: str
    """The same for the same weights; measurements are kept under it."""
    around: Surroundings
    bytes_per_pixel: float
    """Memory of what is alive at once, in float32; of the trunk alone if the network is divided."""
    elements_per_pixel: float
    """Elements of the largest blob."""
    multiply_adds: float = 0.0
    """0 if not known."""
    tail: Tail | None = None
    """The layers that are computed in small parts, if the network is divided."""
    fixed_bytes: float = 0.0
    """Memory of such a part, whatever the size of a tile."""


class NcnnNet:
    """A network that ncnn has loaded. May be called from several threads."""

    def __init__(
        self, network: NcnnNetwork, *, vulkan: int | None = None, half: bool = False, plain: bool = False
    ) -> None:
        """Loads it on the processor, or on the Vulkan device of that index.

        `half` stores and computes in float16, which only Vulkan devices do fast: on processors ncnn's float16 and
        bfloat16 were measured to be slower than float32. `plain` takes the simplest kernels: no Winograd, no packing.
        Raises ModelError when ncnn cannot read the files, OutOfMemory.
        """
        self._ncnn = load_ncnn()
        self._around, self._tail = network.around, network.tail
        # The net's own would keep what they have allocated when memory runs out; they must live longer than the net.
        self._allocators = self._ncnn.PoolAllocator(), self._ncnn.PoolAllocator()
        self.net = self._ncnn.Net()
        options = self.net.opt
        for name in dir(options):
            if re.match("use_(fp16|bf16|int8)_", name):
                setattr(options, name, half and "fp16" in name)
            elif plain and re.fullmatch("use_(packing_layout|sgemm_convolution|winograd.*)", name):
                setattr(options, name, False)
        options.num_threads = max(min(count_processors(), self._ncnn.get_physical_big_cpu_count()), 1)
        options.openmp_blocktime = 0  # threads that wait do not spin
        options.blob_allocator, options.workspace_allocator = self._allocators
        if vulkan is not None:
            options.use_vulkan_compute = True
            self.net.set_vulkan_device(vulkan)
        for load, file in ((self.net.load_param, network.param), (self.net.load_model, network.bin)):
            code = load(str(file))
            if code == OUT_OF_MEMORY:
                raise OutOfMemory(f"{file}: there is too little memory for the network. Choose a smaller model.")
            if code != 0:
                raise ModelError(f"{file}: ncnn cannot read it (code {code}). It is damaged, or has unknown layers.")

    def __del__(self) -> None:
        self.net = None  # before its allocators

    def compute(self, tile: FloatArray) -> FloatArray:
        """Enlarges a tile, (height, width, channels), float32, 0..1; the result has values between 0 and 1, too.

        Raises OutOfMemory, and EngineError with ncnn's code, or when the result has another shape than it should.
        """
        around = self._around
        height, width, channels = tile.shape
        padding = [(around.margin, around.margin + -side % around.multiple) for side in (height, width)]
        source = np.pad(tile.transpose(2, 0, 1), [(0, 0), *padding], "reflect")
        scale = around.scale
        expected = (channels, *((side + -side % around.multiple) * scale for side in (height, width)))
        if self._tail is None:
            (result,) = self.extract(source, self.net.output_names())
        else:
            (features,) = self.extract(source, [self._tail.neck])
            result = self._compute_tail(features, self._tail)
        _check_shape(result, expected)
        result = result[:, : height * scale, : width * scale].transpose(1, 2, 0)
        if around.adds_picture:
            result = result + tile.repeat(scale, 0).repeat(scale, 1)
        enlarged: FloatArray = np.clip(result, 0, 1)
        return enlarged

    def _compute_tail(self, features: FloatArray, tail: Tail) -> FloatArray:
        """Computes the last layers from what the trunk gives, (channels, height, width), part by part."""
        _, height, width = features.shape
        result = np.empty((self._around.channels, height * tail.scale, width * tail.scale), np.float32)
        for row in divide_length(height, PART, tail.reach, tail.scale):
            for column in divide_length(width, PART, tail.reach, tail.scale):
                taken = features[:, row.source, column.source]
                (part,) = self.extract(taken, self.net.output_names(), tail.neck)
                _check_shape(part, (len(result), *(side * tail.scale for side in taken.shape[1:])))
                result[:, row.place, column.place] = part[:, row.inside, column.inside]
        return result

    def extract(
        self, source: FloatArray, blobs: Iterable[str | int], first: str | None = None, *, light: bool = True
    ) -> list[FloatArray]:
        """Returns blobs by their names or numbers, float32, given the input, (channels, height, width), or the blob
        `first` in its place.

        `light` gives back the memory of each as soon as it is not needed any more. Raises OutOfMemory, EngineError.
        """
        contiguous = np.ascontiguousarray(source)  # which has to live until it is cloned
        extractor = self.net.create_extractor()
        extractor.set_light_mode(light)
        codes = [extractor.input(first or self.net.input_names()[0], self._ncnn.Mat(contiguous).clone())]
        results: list[FloatArray] = []
        for blob in blobs:
            code, result = extractor.extract(blob)
            codes.append(code)
            if code == 0:
                results.append(np.array(result))
        if OUT_OF_MEMORY in codes:
            del extractor
            for allocator in self._allocators:
                allocator.clear()
            raise OutOfMemory("ncnn could not allocate what it needs.")
        if failed := next(filter(None, codes), None):
            raise EngineError(f"ncnn could not compute it (code {failed}).")
        return results


def _check_shape(result: FloatArray, expected: tuple[int, ...]) -> None:
    """Raises EngineError for a result of another shape than it should have."""
    if result.shape != expected:
        raise EngineError(f"ncnn's result has the shape {result.shape} instead of {expected}.")
