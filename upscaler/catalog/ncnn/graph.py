"""The text form of an ncnn graph: its layers with their parameters by name, in the order of the file.

The format is that of the repository Tencent/ncnn: src/net.cpp and src/paramdict.cpp; names and defaults of parameters
are those of src/layer/.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from ...errors import ModelError

Value: TypeAlias = float | tuple[float, ...]

INSTEAD = "Get the model as .pth or .safetensors."
DAMAGED = "It is damaged; get it again."

MAGIC = "7767517"
_BINARY_MAGIC = int(MAGIC).to_bytes(4, "little")
_MAX_BYTES = 1 << 24
"""More than any network for enlarging pictures needs for its graph."""

ARRAYS = -23300
"""The number of a parameter that is an array is subtracted from this one."""

_HINTS = (30, 31)
"""Parameters of any layer that change nothing of its result: the size to expect, and what not to accelerate with."""

_CONVOLUTION: dict[str, tuple[int, Value | str]] = {
    "outputs": (0, 0),
    "kernel": (1, 0),
    "dilation": (2, 1),
    "stride": (3, 1),
    "padding": (4, 0),
    "bias": (5, 0),
    "size": (6, 0),
    "activation": (9, 0),
    "slope": (10, ()),
    "kernel_height": (11, "kernel"),
    "dilation_height": (12, "dilation"),
    "stride_height": (13, "stride"),
    "padding_top": (14, "padding"),
    "padding_right": (15, "padding"),
    "padding_bottom": (16, "padding_top"),
}

PARAMETERS: dict[str, dict[str, tuple[int, Value | str]]] = {
    "Input": {"width": (0, 0), "height": (1, 0), "channels": (2, 0), "depth": (11, 0)},
    "Split": {},
    "Convolution": _CONVOLUTION | {"int8": (8, 0), "padding_value": (18, 0), "dynamic": (19, 0)},
    "Deconvolution": _CONVOLUTION
    | {
        "output_padding": (18, 0),
        "output_padding_bottom": (19, "output_padding"),
        "output_width": (20, 0),
        "output_height": (21, "output_width"),
        "dynamic": (28, 0),
    },
    "InnerProduct": {
        "outputs": (0, 0),
        "bias": (1, 0),
        "size": (2, 0),
        "int8": (8, 0),
        "activation": (9, 0),
        "slope": (10, ()),
    },
    "PReLU": {"count": (0, 0)},
    "ReLU": {"slope": (0, 0)},
    "Sigmoid": {},
    "Swish": {},
    "Eltwise": {"operation": (0, 0), "coefficients": (1, ())},
    "BinaryOp": {"operation": (0, 0), "scalar": (1, 0), "value": (2, 0)},
    "Concat": {"axis": (0, 0)},
    "MemoryData": {"width": (0, 0), "height": (1, 0), "channels": (2, 0), "depth": (11, 0)},
    "Interp": {
        "filter": (0, 0),
        "factor_y": (1, 1),
        "factor_x": (2, 1),
        "output_height": (3, 0),
        "output_width": (4, 0),
        "dynamic": (5, 0),
        "aligned": (6, 0),
    },
    "PixelShuffle": {"factor": (0, 1), "mode": (1, 0)},
    "Reorg": {"factor": (0, 1), "mode": (1, 0)},
    "Pooling": {
        "method": (0, 0),
        "kernel": (1, 0),
        "stride": (2, 1),
        "padding": (3, 0),
        "whole": (4, 0),
        "padding_mode": (5, 0),
        "count_padding": (6, 0),
        "adaptive": (7, 0),
        "output_width": (8, 0),
    },
    "Crop": {"starts": (9, ()), "ends": (10, ()), "axes": (11, ())},
}
"""For each kind of layer that can be read, its parameters by name: number, and default or the name of another parameter
whose value is the default."""


class OtherNetwork(ModelError):
    """A graph is that of a network that is not known here; it may be in order for ncnn."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation: what it takes, the one blob it gives, and all of its parameters."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    output: str
    parameters: Mapping[str, Value]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def number(self, name: str) -> float:
        """Returns a parameter that is one number."""
        value = self.parameters[name]
        assert not isinstance(value, tuple)
        return value


@dataclass(frozen=True, slots=True)
class Graph:
    """Layers in an order in which they can be computed, without copies; activations are layers of their own."""

    file: Path
    layers: tuple[Layer, ...]
    input: str
    input_width: float
    """0, here and in `input_height`, stands for any."""
    input_height: float
    output: str


def complete(kind: str, parameters: Mapping[str, Value]) -> dict[str, Value]:
    """Returns all parameters of a kind of layer, given those that differ from their default."""
    values: dict[str, Value] = {}
    for name, (_, default) in PARAMETERS[kind].items():
        values[name] = parameters.get(name, values[default] if isinstance(default, str) else default)
    return values


def read_count(file: Path, layer: Layer, name: str) -> int:
    """Returns a parameter that counts something: 1 or more. Raises ModelError."""
    value = layer.number(name)
    if value % 1 or not 1 <= value < 1 << 31:
        raise ModelError(f"{file}: {layer} has {name.replace('_', ' ')} {value:g}. {DAMAGED}")
    return int(value)


def read_graph(file: Path) -> Graph:
    """Reads the graph in a text file. Raises ModelError when it is not one, is broken, or has unknown layers."""
    layers: list[Layer] = []
    inputs: list[Layer] = []
    source: dict[str, str] = {}
    """Maps every blob so far to the blob that it is a copy of, or to itself."""
    for line in _lines(file):
        layer, outputs = _layer(file, line)
        if not source.keys() >= set(layer.inputs):
            raise ModelError(f"{file}: {layer} takes what no layer before it gives. {DAMAGED}")
        if not source.keys().isdisjoint(outputs):
            raise ModelError(f"{file}: {layer} gives what a layer before it gives. {DAMAGED}")
        layer = replace(layer, inputs=tuple(source[blob] for blob in layer.inputs))
        if layer.kind == "Split":
            source |= dict.fromkeys(outputs, layer.inputs[0])
            continue
        source[layer.output] = layer.output
        if layer.kind == "Input":
            inputs.append(layer)
        else:
            layers += _split_activation(file, layer)
    taken = {blob for layer in layers for blob in layer.inputs}
    results = [layer.output for layer in layers if layer.output not in taken]
    if len(inputs) != 1 or len(results) != 1:
        raise ModelError(
            f"{file}: it takes {len(inputs)} pictures and gives {len(results)}. Only a network that takes one "
            "and gives one can be imported."
        )
    width, height = inputs[0].number("width"), inputs[0].number("height")
    return Graph(file, tuple(layers), inputs[0].output, width, height, results[0])


def read_fields(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields each layer's kind and its parameters as they are written, by number, whatever the kind.

    Raises ModelError when the file is not a text graph, or one of its lines is not a layer.
    """
    for line in _lines(file):
        try:
            kind, _, takes, gives, *rest = line.split()
            fields = rest[int(takes) + int(gives) :]
            yield kind, {number: value for number, _, value in (field.partition("=") for field in fields)}
        except ValueError as error:
            raise ModelError(f"{file}: {line[:60]!r} is not a layer of a graph. {DAMAGED}") from error


def _lines(file: Path) -> list[str]:
    """Reads the lines of a text graph that hold its layers. Raises ModelError when it is not such a graph."""
    try:
        size = file.stat().st_size
        content = file.read_bytes() if size <= _MAX_BYTES else b""
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror}).") from error
    if content.startswith(_BINARY_MAGIC):
        raise ModelError(
            f"{file}: this is a graph in ncnn's binary form, which cannot be imported. Give the text form."
        )
    try:
        lines = [line for line in content.decode().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ModelError(f"{file}: this is not a graph of ncnn: it is not a text.") from error
    if len(lines) < 2 or lines[0].strip() != MAGIC:
        raise ModelError(f"{file}: this is not a graph of ncnn: it does not begin with {MAGIC}.")
    announced = lines[1].split()[0]
    if announced != str(len(lines) - 2):
        raise ModelError(f"{file}: it announces {announced} layers and holds {len(lines) - 2}. {DAMAGED}")
    return lines[2:]


def _layer(file: Path, line: str) -> tuple[Layer, list[str]]:
    """Reads the line of a layer; returns the layer and the names of all of its results."""
    try:
        kind, name, takes, gives, *rest = line.split()
        inputs, outputs = rest[: int(takes)], rest[int(takes) : int(takes) + int(gives)]
        numbers = dict(_parameter(field) for field in rest[int(takes) + int(gives) :])
        if not line.replace("\t", " ").isprintable() or len(inputs) != int(takes) or len(outputs) != int(gives):
            raise ValueError
    except ValueError as error:
        raise ModelError(f"{file}: {line[:60]!r} is not a layer of a graph. {DAMAGED}") from error
    if kind not in PARAMETERS:
        raise OtherNetwork(
            f"{file}: it has a layer of the kind {kind}, which no network that can be imported has. {INSTEAD}"
        )
    if not outputs or (kind != "Split" and len(outputs) > 1) or (kind == "Split" and len(inputs) != 1):
        raise ModelError(f"{file}: {kind} {name} takes {len(inputs)} blobs and gives {len(outputs)}. {DAMAGED}")
    parameters = _name_parameters(file, f"{kind} {name}", kind, numbers)
    return Layer(kind, name, tuple(inputs), outputs[0], complete(kind, parameters)), outputs


def _parameter(field: str) -> tuple[int, Value]:
    """Reads number and value from "0=3", from "1=0.2,1.0", or from an array's old form, "-23301=2,0.2,1.0"."""
    number, value = field.split("=")
    values = tuple(map(_value, value.split(",")))
    if int(number) > ARRAYS:
        return int(number), values if len(values) > 1 else values[0]
    if values[0] != len(values) - 1:
        raise ValueError
    return ARRAYS - int(number), values[1:]


def _value(text: str) -> float:
    """Reads a finite number, rounded to six digits as it was before it became float32, so that it can be compared."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value if value.is_integer() else float(f"{value:.6g}")


def _name_parameters(file: Path, layer: str, kind: str, numbers: Mapping[int, Value]) -> dict[str, Value]:
    """Maps the parameters of a layer to their names, and makes arrays where arrays belong."""
    known = {number: (name, isinstance(default, tuple)) for name, (number, default) in PARAMETERS[kind].items()}
    values: dict[str, Value] = {}
    for number, value in numbers.items():
        if number in _HINTS:
            continue
        name, is_array = known.get(number, ("", False))
        if not name or (isinstance(value, tuple) and not is_array):
            raise OtherNetwork(f"{file}: {layer} has a parameter {number}, which is not known here. {INSTEAD}")
        values[name] = (value,) if is_array and not isinstance(value, tuple) else value
    return values


def _split_activation(file: Path, layer: Layer) -> list[Layer]:
    """Splits a layer from the activation that is fused into it, which becomes a layer of its own."""
    if not layer.parameters.get("activation"):
        return [layer]
    activation = layer.number("activation")
    between = f"{layer.output} before activation"  # no blob has this name: it has spaces
    bare = complete(layer.kind, {**layer.parameters, "activation": 0, "slope": ()})
    after: dict[str, Value] = {}
    slope = layer.parameters["slope"]
    if activation == 2 and isinstance(slope, tuple) and len(slope) == 1:
        after["slope"] = slope[0]
    elif activation not in (1, 4):
        raise OtherNetwork(f"{file}: {layer} has an activation {activation:g}, which is not known here. {INSTEAD}")
    kind = "Sigmoid" if activation == 4 else "ReLU"
    return [
        replace(layer, output=between, parameters=bare),
        Layer(kind, layer.name, (between,), layer.output, complete(kind, after)),
    ]
