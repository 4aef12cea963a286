"""Finds where a graph can be divided: behind a deep trunk at the size of the source, before a light tail that enlarges.

A tile of the trunk takes a fraction of the memory of the whole, and the tail can be computed in small parts.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ...errors import ModelError
from .graph import Graph, Layer, read_graph

_POINTWISE = ("ReLU", "PReLU", "Sigmoid", "Swish")
"""Layers that look at one pixel at a time."""

_NEAREST = 1
"""The number of the filter that repeats pixels."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The layers after the one blob that they all follow from."""

    neck: str
    """The name of that blob: what the trunk gives."""
    scale: int
    """How many times wider than the neck the result is."""
    reach: int
    """How far the layers see, in pixels of the neck."""


def find_tail(param: Path) -> Tail | None:
    """Returns the layers of a graph that enlarge, if they are a chain at its end and each sees what is near to a pixel.

    None if the graph ends in another way, or has layers that are not known here.
    """
    try:
        graph = read_graph(param)
    except ModelError:  # ncnn may know it
        return None
    chain = _last_chain(graph)
    first = next((index for index, layer in enumerate(chain) if _enlargement(layer) > 1), None)
    if first is not None and chain[first].kind == "PixelShuffle":
        # The convolution before it gives as many values as the result has.
        first = max((index for index in range(first) if chain[index].kind == "Convolution"), default=None)
    if first is None:
        return None
    scale, reach = 1, 0.0
    for layer in chain[first:]:
        if layer.kind == "Convolution":
            reach += layer.number("dilation") * (layer.number("kernel") - 1) / 2 / scale
        scale *= _enlargement(layer)
    return Tail(chain[first].inputs[0], scale, math.ceil(reach))


def _last_chain(graph: Graph) -> list[Layer]:
    """Returns the last layers, each of which takes what the one before it gives, and nothing else does."""
    makers = {layer.output: layer for layer in graph.layers}
    takers = Counter(blob for layer in graph.layers for blob in layer.inputs)
    chain: list[Layer] = []
    blob = graph.output
    while (layer := makers.get(blob)) is not None and _is_local(layer) and takers[blob] <= 1:
        chain.insert(0, layer)
        blob = layer.inputs[0]
    return chain if takers[blob] == 1 else chain[1:]


def _is_local(layer: Layer) -> bool:
    """Returns whether a layer keeps the size or repeats pixels, and sees only what is near to a pixel."""
    if layer.kind == "Convolution":
        side = layer.number("dilation") * (layer.number("kernel") - 1)
        is_square = all(layer.number(name) == layer.number(f"{name}_height") for name in ("kernel", "dilation"))
        ends = ("padding", "padding_top", "padding_right", "padding_bottom")
        is_padded = all(2 * layer.number(name) == side for name in ends) and layer.number("padding_value") == 0
        return is_square and is_padded and layer.number("stride") == layer.number("stride_height") == 1
    if layer.kind == "Interp":
        is_free = not any(layer.number(name) for name in ("output_width", "output_height", "dynamic"))
        return is_free and layer.number("filter") == _NEAREST and _enlargement(layer) > 0
    return layer.kind == "PixelShuffle" or layer.kind in _POINTWISE


def _enlargement(layer: Layer) -> int:
    """Returns how many times wider and higher than its input a layer's result is; 0 for what is no whole number."""
    if layer.kind == "PixelShuffle":
        return int(layer.number("factor"))
    if layer.kind != "Interp":
        return 1
    across, down = layer.number("factor_x"), layer.number("factor_y")
    return int(across) if across == down and across % 1 == 0 else 0
