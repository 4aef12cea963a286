"""Writes a checkpoint as a graph of ncnn and its weights, by the walk that would read them again.

The format is that of the repository Tencent/ncnn: src/net.cpp, src/paramdict.cpp and the load_model of each layer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from .graph import ARRAYS, MAGIC, PARAMETERS, Layer, Value, complete
from .walk import Blob, Walk
from .weights import FLOAT16, FLOAT32

State: TypeAlias = Mapping[str, NDArray[Any]]
"""The weights of a checkpoint by name: arrays of float32, float16 or float64."""

LEAKY = 2.0
"""The number of ncnn's activation that is a ReLU with a slope."""

FLOATS = ("slope", "value", "factor_x", "factor_y", "coefficients")
"""Parameters that ncnn reads as floats; it would take the bits of a whole number for one."""


class WritingWalk(Walk):
    """A walk along an architecture that writes each layer that it follows, with the weights of a checkpoint.

    A ReLU is fused into the convolution before it, which saves a pass over its result. All methods raise KeyError when
    a weight is missing, ModelError when it has the wrong shape.
    """

    def __init__(self, state: State, architecture: str, channels: int, counts: Mapping[str, int], fold: int) -> None:
        """Takes the weights, the channels of a picture, how many layers there will be of the kinds that the
        architecture asks for, and the factor by which the picture is folded first."""
        self.weights = dict(state)
        self.unused = set(state)
        """Names of the weights that no layer has taken so far."""
        self.content = bytearray()
        """The weights, as ncnn reads them."""
        self.multiply_adds = 0.0
        """Multiplications of a weight by a value so far, for each pixel of the picture."""
        self.input = Blob("picture", channels, 1.0)
        self._architecture, self._state, self._counts, self._fold = architecture, state, counts, fold
        self._written = [Layer("Input", "picture", (), self.input.name, complete("Input", {}))]
        self._layers = {}

    def write_graph(self) -> str:
        """Returns the text of the graph. A blob that several layers take is copied by a Split."""
        takers = Counter(blob for layer in self._written for blob in layer.inputs)
        copies = {blob: iter([f"{blob}_{i}" for i in range(count)]) for blob, count in takers.items() if count > 1}
        lines, blobs = [], 0
        for layer in self._written:
            inputs = [next(copies[blob]) if blob in copies else blob for blob in layer.inputs]
            lines.append(_line(layer.kind, layer.name, inputs, [layer.output], _fields(layer)))
            blobs += 1
            if (count := takers[layer.output]) > 1:
                names = [f"{layer.output}_{i}" for i in range(count)]
                lines.append(_line("Split", f"{layer.name}_split", [layer.output], names, ()))
                blobs += count
        return "\n".join([MAGIC, f"{len(lines)} {blobs}", *lines, ""])

    def count(self, kind: str, **parameters: Value) -> int:
        return self._counts.get(kind, 0)

    def has(self, kind: str, *inputs: Blob) -> bool:
        """Returns whether there will be more layers of that kind than there are."""
        return self._counts.get(kind, 0) > sum(layer.kind == kind for layer in self._written)

    def leaky(self, x: Blob, slope: float) -> Blob:
        last = self._written[-1]
        assert last.output == x.name
        activation: dict[str, Value] = {"activation": LEAKY, "slope": (slope,)}
        self._written[-1] = replace(last, parameters=complete(last.kind, {**last.parameters, **activation}))
        return x

    def prelu(self, x: Blob, name: str) -> Blob:
        slopes = self._take(f"{name}.weight")
        if slopes.shape != (x.channels,):
            self.refuse(f"{name} has slopes of the shape {slopes.shape} for {x.channels} channels")
        self.content += slopes.astype("<f4").tobytes()
        return Blob(self._layer("PReLU", (x,), {"count": slopes.size}).output, x.channels, x.zoom)

    def constant(self, expected: Sequence[float]) -> Blob:
        self.content += np.array(expected, "<f4").tobytes()
        layer = self._layer("MemoryData", (), {"width": 1, "height": 1, "channels": len(expected)})
        return Blob(layer.output, len(expected), 1)

    def shuffle(self, x: Blob) -> Blob:
        """Writes a PixelShuffle after which there are as many channels as a picture has."""
        factor = math.isqrt(x.channels // self.input.channels)
        if factor**2 * self.input.channels != x.channels:
            self.refuse(f"{x.channels} channels do not become pixels of {self.input.channels}")
        if factor == 1:
            return x
        layer = self._layer("PixelShuffle", (x,), {"factor": factor})
        return Blob(layer.output, self.input.channels, x.zoom * factor)

    def unshuffle(self, x: Blob) -> Blob:
        layer = self._layer("Reorg", (x,), {"factor": self._fold})
        return Blob(layer.output, x.channels * self._fold**2, x.zoom / self._fold)

    def end(self, x: Blob) -> Blob:
        if x.channels != self.input.channels:
            self.refuse(f"it gives {x.channels} channels of a picture of {self.input.channels}")
        return x

    def refuse(self, what: str) -> NoReturn:
        raise ModelError(f"{self._architecture}: {what}. It is another network.")

    def _layer(
        self, kind: str, inputs: Sequence[Blob], parameters: Mapping[str, Value], free: Collection[str] = ()
    ) -> Layer:
        """Appends a layer with these parameters, and returns it."""
        name = f"{kind.lower()}_{len(self._written)}"
        layer = Layer(kind, name, tuple(blob.name for blob in inputs), name, complete(kind, parameters))
        self._written.append(layer)
        return layer

    def _convolve(self, kind: str, x: Blob, name: str, parameters: Mapping[str, Value], zoom: float) -> Blob:
        weight = self._take(f"{name}.weight")
        bias = self._take(f"{name}.bias") if f"{name}.bias" in self._state else None
        if kind == "Deconvolution":
            weight = weight.swapaxes(0, 1)
        outputs, inputs, *sides = weight.shape
        if inputs != x.channels or any(side != parameters.get("kernel", 1) for side in sides):
            self.refuse(f"{name} has weights of the shape {weight.shape} and takes {x.channels} channels")
        self.content += _pack(weight) + (b"" if bias is None else bias.astype("<f4").tobytes())
        if kind != "InnerProduct":  # which computes once for all pixels
            self.multiply_adds += weight.size * (x.zoom * min(zoom, 1)) ** 2
        numbers: dict[str, Value] = {"outputs": outputs, "size": weight.size, "bias": int(bias is not None)}
        return Blob(self._layer(kind, (x,), {**parameters, **numbers}).output, outputs, x.zoom * zoom)

    def _take(self, name: str) -> NDArray[Any]:
        self.unused.discard(name)
        return self._state[name]


def _pack(weight: NDArray[Any]) -> bytes:
    """Returns a flag and the values: float16 if that is what they are, else float32; padded to whole words."""
    if weight.dtype != np.float16:
        return FLOAT32.to_bytes(4, "little") + weight.astype("<f4").tobytes()
    values = weight.astype("<f2").tobytes()
    return FLOAT16.to_bytes(4, "little") + values + bytes(-len(values) % 4)


def _line(kind: str, name: str, inputs: Sequence[str], outputs: Sequence[str], fields: Iterable[str]) -> str:
    return " ".join((kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs, *fields))


def _fields(layer: Layer) -> Iterator[str]:
    """Yields those parameters of a layer that differ from their defaults."""
    for name, (number, default) in PARAMETERS[layer.kind].items():
        value = layer.parameters[name]
        if value == (layer.parameters[default] if isinstance(default, str) else default):
            continue
        text = "e" if name in FLOATS else ".0f"
        if isinstance(value, tuple):
            yield f"{ARRAYS - number}={','.join([str(len(value)), *(format(each, text) for each in value)])}"
        else:
            yield f"{number}={format(value, text)}"
