"""Networks in the form of ncnn, a graph and its weights: read as checkpoints of their architecture, and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...arrays import FloatArray
from ...errors import ModelError
from .architectures import ARCHITECTURES
from .export import Exported, Surroundings, export
from .graph import OtherNetwork, read_graph
from .tail import Tail, find_tail
from .walk import Walk
from .weights import read_weights

__all__ = ["Converted", "Exported", "OtherNetwork", "Surroundings", "Tail", "export", "find_pair", "find_tail", "read"]


@dataclass(frozen=True, slots=True)
class Converted:
    """A network that was read from a graph and its weights."""

    architecture: str
    """One of the names in ARCHITECTURES."""
    weights: dict[str, FloatArray]
    """The state dict of the published PyTorch network, float32."""
    scale: int
    """The scale of the network itself."""
    result_scale: int
    """The scale of the graph's result: smaller if it ends with a reduction, which no state dict can hold."""


def find_pair(file: Path) -> tuple[Path, Path]:
    """Returns graph and weights, x.param and x.bin, one of which is `file`. Raises ModelError if one is missing."""
    if file.name.lower().endswith(".param.bin"):
        raise ModelError(
            f"{file}: this is a graph in ncnn's binary form. Give the text form, {file.stem}, and its weights."
        )
    param, bin = file.with_suffix(".param"), file.with_suffix(".bin")
    missing = next((half for half in (param, bin) if not half.is_file()), None)
    if missing is not None:
        raise ModelError(f"{missing}: no such file. A network in ncnn's form is {param.name} and {bin.name} together.")
    return param, bin


def read(param: Path, bin: Path) -> Converted:
    """Reads the network of a text graph and its weights; nothing of them is run.

    It is compared with its architecture layer by layer, so that the checkpoint computes what the graph computes. Raises
    ModelError naming what is broken, OtherNetwork naming what no known architecture computes.
    """
    graph = read_graph(param)
    kinds = {layer.kind for layer in graph.layers}
    if "Convolution" not in kinds:
        raise ModelError(f"{graph.file}: it has no convolution, so it is not a network for enlarging pictures.")
    name, follow = next(known for sign, known in ARCHITECTURES.items() if sign in kinds)
    walk = Walk(graph, read_weights(graph, bin), name)
    network = follow(walk)
    result = walk.end(network)
    return Converted(name, walk.weights, walk.scale(network), walk.scale(result))
