"""A walk through a graph along what an architecture computes, which gathers the weights by the architecture's names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from ...arrays import FloatArray
from .graph import INSTEAD, Graph, Layer, OtherNetwork, Value, complete, read_count
from .weights import Weights

ADD, SUBTRACT, MULTIPLY = range(3)
"""Operations of a BinaryOp."""

_SUM = 1
"""The operation of an Eltwise that adds."""

_NEAREST, _BICUBIC = 1, 3
"""Filters of an Interp."""


@dataclass(frozen=True, slots=True)
class Blob:
    """The result of a layer."""

    name: str
    channels: int
    zoom: float
    """How many times wider than the picture it is, margins aside."""


class Walk:
    """A walk along an architecture: each method finds the layer that computes its next step, and returns the result.

    They raise ModelError when no layer of the graph computes just that: every parameter of a layer is compared, those
    that the method does not name with ncnn's default.
    """

    def __init__(self, graph: Graph, stored: Weights, architecture: str) -> None:
        self.weights: dict[str, FloatArray] = {}
        """The weights gathered so far, by the architecture's names."""
        self._graph, self._stored, self._architecture = graph, stored, architecture
        self._layers = {(layer.kind, layer.inputs): layer for layer in graph.layers}
        first = next(layer for layer in graph.layers if layer.kind == "Convolution")
        folds = (read_count(graph.file, layer, "factor") ** 2 for layer in graph.layers if layer.kind == "Reorg")
        self.input = Blob(graph.input, stored[first.output][0].shape[1] // next(folds, 1), 1.0)

    def count(self, kind: str, **parameters: Value) -> int:
        """Returns how many layers of a kind there are with these parameters."""
        return sum(
            layer.kind == kind and parameters.items() <= layer.parameters.items() for layer in self._graph.layers
        )

    def has(self, kind: str, *inputs: Blob) -> bool:
        """Returns whether a layer of that kind takes these blobs."""
        return (kind, tuple(blob.name for blob in inputs)) in self._layers

    def step(self, kind: str, *inputs: Blob, **parameters: Value) -> Blob:
        """Follows a layer without weights, whose result has the size and the channels of its inputs."""
        layer = self._layer(kind, inputs, parameters)
        if any(blob.channels != inputs[0].channels for blob in inputs):
            self.refuse(f"{layer} takes blobs of {' and '.join(str(blob.channels) for blob in inputs)} channels")
        return Blob(layer.output, inputs[0].channels, inputs[0].zoom)

    def convolution(self, x: Blob, name: str, kernel: int = 3, stride: int = 1, padding: int | None = None) -> Blob:
        """Follows a convolution, padded by default so that with stride 1 its result is as large as `x`."""
        margin = (kernel - 1) // 2 if padding is None else padding
        parameters = {"kernel": kernel, "stride": stride, "padding": margin}
        return self._convolve("Convolution", x, name, parameters, 1 / stride)

    def deconvolution(self, x: Blob, name: str, kernel: int, stride: int, padding: int = 0) -> Blob:
        """Follows a transposed convolution, whose weights PyTorch has as (in, out, height, width)."""
        return self._convolve(
            "Deconvolution", x, name, {"kernel": kernel, "stride": stride, "padding": padding}, stride
        )

    def dense(self, x: Blob, name: str) -> Blob:
        """Follows an InnerProduct, which is a 1x1 convolution of a single pixel."""
        return self._convolve("InnerProduct", x, name, {}, 1)

    def leaky(self, x: Blob, slope: float) -> Blob:
        return self.step("ReLU", x, slope=slope)

    def prelu(self, x: Blob, name: str) -> Blob:
        """Follows a PReLU, which has a slope for each channel, or a ReLU, leaky or not, which has one for all."""
        if self.has("ReLU", x):
            layer = self._layer("ReLU", (x,), {}, free=("slope",))
            slopes = np.array([layer.number("slope")], np.float32)
        else:
            layer = self._layer("PReLU", (x,), {}, free=("count",))
            slopes = self._stored[layer.output][0]
        if slopes.size not in (1, x.channels):
            self.refuse(f"{layer} has {slopes.size} slopes for {x.channels} channels")
        self.weights[f"{name}.weight"] = np.broadcast_to(slopes, x.channels).copy()
        return Blob(layer.output, x.channels, x.zoom)

    def add(self, x: Blob, y: Blob, share: float = 1) -> Blob:
        """Follows x + share·y, which one layer computes or two."""
        if share != 1 and self.has("BinaryOp", y):
            y, share = self.step("BinaryOp", y, operation=MULTIPLY, scalar=1, value=share), 1
        if self.has("Eltwise", x, y):
            return self.step("Eltwise", x, y, operation=_SUM, coefficients=() if share == 1 else (1, share))
        if share != 1 or self.has("Eltwise", y, x):
            return self.step("Eltwise", y, x, operation=_SUM, coefficients=() if share == 1 else (share, 1))
        return self.step("BinaryOp", x, y, operation=ADD)

    def concat(self, *parts: Blob) -> Blob:
        """Follows the joining of parts by channels; a single part needs no layer."""
        if len(parts) == 1:
            return parts[0]
        layer = self._layer("Concat", parts, {})
        return Blob(layer.output, sum(part.channels for part in parts), parts[0].zoom)

    def constant(self, expected: Sequence[float]) -> Blob:
        """Follows the only constant of the graph, which is subtracted: a value for each channel, up to rounding."""
        layer = self._layer("MemoryData", (), {"width": 1, "height": 1}, free=("channels",))
        values = self._stored[layer.output][0]
        if values.size != len(expected) or not np.allclose(values, expected, atol=1e-3):
            what = f"it subtracts {values.tolist()} from a picture"
            self.refuse(f"{what} where {self._architecture} subtracts {list(expected)}")
        return Blob(layer.output, values.size, 1)

    def nearest(self, x: Blob, factor: float) -> Blob:
        """Follows an enlargement by repeating pixels; a factor of 1 needs no layer."""
        if factor == 1 and not self.has("Interp", x):
            return x
        layer = self._layers.get(("Interp", (x.name,)))
        if layer is not None and layer.number("output_width"):
            width, height = (side * x.zoom * factor for side in (self._graph.input_width, self._graph.input_height))
            if not width:
                self.refuse(f"{layer} gives {layer.number('output_width'):g} pixels across whatever it takes")
            parameters = {"filter": _NEAREST, "output_width": width, "output_height": height}
            layer = self._layer("Interp", (x,), parameters, free=("factor_x", "factor_y"))
        else:
            layer = self._layer("Interp", (x,), {"filter": _NEAREST, "factor_x": factor, "factor_y": factor})
        return Blob(layer.output, x.channels, x.zoom * factor)

    def shuffle(self, x: Blob) -> Blob:
        """Follows a PixelShuffle, which turns channels into pixels; a factor of 1 needs no layer."""
        if not self.has("PixelShuffle", x):
            return x
        layer = self._layer("PixelShuffle", (x,), {}, free=("factor",))
        factor = read_count(self._graph.file, layer, "factor")
        if x.channels % factor**2:
            self.refuse(f"{layer} makes {factor}x{factor} pixels of {x.channels} channels")
        return Blob(layer.output, x.channels // factor**2, x.zoom * factor)

    def unshuffle(self, x: Blob) -> Blob:
        """Follows a Reorg, which turns pixels into channels."""
        layer = self._layer("Reorg", (x,), {}, free=("factor",))
        factor = read_count(self._graph.file, layer, "factor")
        return Blob(layer.output, x.channels * factor**2, x.zoom / factor)

    def end(self, x: Blob) -> Blob:
        """Returns the result of the graph, which must be `x` or a bicubic reduction of it."""
        if self.has("Interp", x):
            layer = self._layer("Interp", (x,), {"filter": _BICUBIC}, free=("factor_x", "factor_y"))
            factors = {layer.number("factor_x"), layer.number("factor_y")}
            if len(factors) > 1 or max(factors) > 1:
                self.refuse(f"{layer} is not a reduction of all that {self._architecture} gives")
            x = Blob(layer.output, x.channels, round(x.zoom * max(factors), 4))
        if x.name != self._graph.output:
            self.refuse(f"{self._architecture} ends with {self._maker(x)}, and this graph goes on")
        if x.channels != self.input.channels:
            self.refuse(f"{self._maker(x)} gives {x.channels} channels of a picture of {self.input.channels}")
        return x

    def scale(self, x: Blob) -> int:
        """Returns how many times wider than the picture a result is, a whole number."""
        if x.zoom % 1 or x.zoom < 1:
            self.refuse(f"{self._maker(x)} gives a picture {x.zoom:g} times as wide")
        return int(x.zoom)

    def refuse(self, what: str) -> NoReturn:
        """Raises the OtherNetwork that says why the graph cannot be imported."""
        raise OtherNetwork(f"{self._graph.file}: {what}. It is another network and cannot be imported. {INSTEAD}")

    def _layer(
        self, kind: str, inputs: Sequence[Blob], parameters: Mapping[str, Value], free: Collection[str] = ()
    ) -> Layer:
        """Finds the layer of a kind that takes `inputs` and has `parameters`; those named in `free` may be anything."""
        names = tuple(blob.name for blob in inputs)
        commutes = parameters.get("operation") in (ADD, MULTIPLY)
        layer = self._layers.get((kind, names)) or (self._layers.get((kind, names[::-1])) if commutes else None)
        if layer is None:
            after = " and ".join(map(self._maker, inputs))
            self.refuse(f"{self._architecture} has {kind} after {after}, and this graph has {self._takers(inputs)}")
        expected = complete(kind, parameters)
        for name, value in layer.parameters.items():
            if name not in free and value != expected[name]:
                wanted = f"{self._architecture} has {_value_in_words(expected[name])}"
                self.refuse(f"{layer} has {name.replace('_', ' ')} {_value_in_words(value)} where {wanted}")
        return layer

    def _convolve(self, kind: str, x: Blob, name: str, parameters: Mapping[str, Value], zoom: float) -> Blob:
        layer = self._layer(kind, (x,), parameters, free=("outputs", "bias", "size"))
        weight, bias = self._stored[layer.output]
        if weight.shape[1] != x.channels:
            self.refuse(f"{layer} has weights for {weight.shape[1]} channels and takes {x.channels}")
        if kind == "Deconvolution":
            weight = weight.swapaxes(0, 1).copy()
        self.weights[f"{name}.weight"], self.weights[f"{name}.bias"] = weight, bias
        return Blob(layer.output, bias.size, x.zoom * zoom)

    def _maker(self, x: Blob) -> str:
        return next((str(layer) for layer in self._graph.layers if layer.output == x.name), "its input")

    def _takers(self, inputs: Collection[Blob]) -> str:
        names = {blob.name for blob in inputs}
        takers = [str(layer) for layer in self._graph.layers if names.intersection(layer.inputs)]
        return ", ".join(takers[:3]) or "nothing"


def _value_in_words(value: Value) -> str:
    return ", ".join(f"{number:g}" for number in value) or "none" if isinstance(value, tuple) else f"{value:g}"
