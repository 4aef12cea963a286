"""The weights that belong to a graph of ncnn, read in the order of its layers.

The format is that of the repository Tencent/ncnn: src/modelbin.cpp and the load_model of each layer.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ...arrays import FloatArray
from ...errors import ModelError
from .graph import DAMAGED, INSTEAD, Graph, Layer, OtherNetwork, read_count

Weights: TypeAlias = dict[str, tuple[FloatArray, ...]]
"""Weight and bias of a convolution, slopes of a PReLU or values of a constant, by the blob that the layer gives."""

FLOAT32 = 0
FLOAT16 = 0x01306B47


def read_weights(graph: Graph, file: Path) -> Weights:
    """Reads the weights of every layer that has some, as float32; those of convolutions are (out, in, height, width).

    Raises ModelError when they are not stored as floats, or are not this graph's.
    """
    reader = _Reader(graph, file)
    weights: Weights = {}
    for layer in graph.layers:
        if layer.kind in ("Convolution", "Deconvolution", "InnerProduct"):
            weights[layer.output] = _convolution(reader, layer)
        elif layer.kind == "PReLU":
            weights[layer.output] = (reader.read_float32(layer, read_count(graph.file, layer, "count")),)
        elif layer.kind == "MemoryData":
            sides = (side for side in ("width", "height", "depth", "channels") if layer.number(side))
            weights[layer.output] = (
                reader.read_float32(layer, math.prod(read_count(graph.file, layer, side) for side in sides)),
            )
    reader.check_end()
    return weights


def _convolution(reader: _Reader, layer: Layer) -> tuple[FloatArray, FloatArray]:
    """Reads weight and bias (zeros if there is none); an InnerProduct counts as a convolution of 1x1."""
    if layer.parameters.get("int8"):
        raise OtherNetwork(f"{reader.graph}: {layer} computes with 8-bit integers, which cannot be imported. {INSTEAD}")
    size, outputs = read_count(reader.graph, layer, "size"), read_count(reader.graph, layer, "outputs")
    is_dense = layer.kind == "InnerProduct"
    height, width = (
        (1, 1) if is_dense else (read_count(reader.graph, layer, side) for side in ("kernel_height", "kernel"))
    )
    inputs, rest = divmod(size, outputs * height * width)
    if rest or not inputs or layer.number("bias") not in (0, 1):
        raise ModelError(
            f"{reader.graph}: {layer} has {size} weights for {outputs} filters of {width}x{height}, and bias "
            f"{layer.number('bias'):g}. {DAMAGED}"
        )
    weight = reader.read_floats(layer, size).reshape(outputs, inputs, height, width)
    bias = reader.read_float32(layer, outputs) if layer.number("bias") else np.zeros(outputs, np.float32)
    return weight, bias


class _Reader:
    """The content of a file of weights, which is read from its beginning on."""

    def __init__(self, graph: Graph, file: Path) -> None:
        self.graph, self.file, self._at = graph.file, file, 0
        try:
            self._content = file.read_bytes()
        except OSError as error:
            raise ModelError(f"{file}: cannot be read ({error.strerror}).") from error

    def read_floats(self, layer: Layer, count: int) -> FloatArray:
        """Reads the next values of a layer, float32 or float16 as the flag before them says, as float32 (count,)."""
        flag = int.from_bytes(self._take(layer, 4), "little")
        if flag == FLOAT32:
            return self.read_float32(layer, count)
        if flag != FLOAT16:
            raise ModelError(
                f"{self.file}: it holds the weights of {layer} neither as float32 nor as float16 (0x{flag:08X}). It is "
                f"quantised, or does not belong to {self.graph.name}. {INSTEAD}"
            )
        content = self._take(layer, (2 * count + 3) // 4 * 4)
        return self._check(layer, np.frombuffer(content, "<f2", count).astype(np.float32))

    def read_float32(self, layer: Layer, count: int) -> FloatArray:
        """Reads the next values of a layer, which have no flag and are float32: float32 (count,)."""
        return self._check(layer, np.frombuffer(self._take(layer, 4 * count), "<f4").astype(np.float32))

    def check_end(self) -> None:
        """Raises ModelError when something is left over."""
        if left := len(self._content) - self._at:
            raise ModelError(
                f"{self.file}: it holds {left} bytes more than {self.graph.name} describes. They do not "
                "belong together."
            )

    def _take(self, layer: Layer, size: int) -> bytes:
        left = len(self._content) - self._at
        if size > left:
            raise ModelError(
                f"{self.file}: it ends within the weights of {layer}: {size} bytes are wanted, {left} are left. "
                f"It is cut off, or does not belong to {self.graph.name}."
            )
        self._at += size
        return self._content[self._at - size : self._at]

    def _check(self, layer: Layer, values: FloatArray) -> FloatArray:
        if not np.isfinite(values).all():
            raise ModelError(f"{self.file}: the weights of {layer} are not all numbers. {DAMAGED}")
        return values
