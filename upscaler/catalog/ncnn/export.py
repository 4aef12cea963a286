"""Checkpoints of the architectures that ncnn's graphs can be written of, recognised by the names of their weights."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from .architectures import compact, drunet, rrdbnet, span, upcunet
from .walk import Blob, Walk
from .write import State, WritingWalk

NOISE_LEVEL = 15 / 255
"""What a DRUNet is told of the noise in its picture, as spandrel tells it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the program that runs a graph does around it. Lengths are pixels of the picture."""

    scale: int
    channels: int
    margin: int = 0
    """The graph's result lacks this much on each side, so the picture is extended by it, reflected."""
    multiple: int = 1
    """Sides must be divisible by this before the margin is added, so the picture is extended below and at the right."""
    minimum: int = 1
    """The smallest side that gives a result."""
    adds_picture: bool = False
    """Whether the picture, enlarged by repeating its pixels, is added to the result."""
    keeps_tone: bool = True
    """Whether results have the tone of their sources, as far as the architecture tells."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A network in ncnn's form."""

    architecture: str
    param: str
    """The text of the graph, whose input is "picture"."""
    bin: bytes
    surroundings: Surroundings
    multiply_adds: float
    """Multiplications of a weight by a value for each pixel of the picture."""


def export(state: State) -> Exported | None:
    """Writes a checkpoint as a graph and its weights; None if it is of no architecture that can be written.

    `state` has the names of Real-ESRGAN's, ESRGAN's or spandrel's networks; everything in it must be used.
    """
    for recognise in EXPORTS:
        try:
            found = recognise(state)
            if found is None:
                continue
            walk = WritingWalk(found.state, found.architecture, found.surroundings.channels, found.counts, found.fold)
            walk.end(found.follow(walk))
        except (KeyError, ValueError, ModelError):
            continue
        if not walk.unused:
            written = walk.write_graph(), bytes(walk.content)
            return Exported(found.architecture, *written, found.surroundings, walk.multiply_adds)
    return None


@dataclass(frozen=True, slots=True)
class _Found:
    """An architecture, and what its walk asks of a graph."""

    architecture: str
    follow: Callable[[Walk], Blob]
    state: State
    surroundings: Surroundings
    counts: Mapping[str, int] = field(default_factory=dict)
    fold: int = 1


def _compact(state: State) -> _Found | None:
    if not {"body.0.weight", "body.1.weight"} <= state.keys() or state["body.1.weight"].ndim != 1:
        return None
    last = max(int(name.split(".")[1]) for name in state)
    channels = state["body.0.weight"].shape[1]
    scale = _scale(len(state[f"body.{last}.weight"]), channels)
    around = Surroundings(scale, channels, keeps_tone=scale > 1)
    return _Found("SRVGGNetCompact", compact, state, around, {"Convolution": last // 2 + 1, "PixelShuffle": scale > 1})


def _rrdbnet(state: State) -> _Found | None:
    state = _rename_rrdbnet(state)
    if "body.0.rdb1.conv1.weight" not in state:
        return None
    blocks = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("body."))
    doublings = sum(re.fullmatch(r"conv_up\d\.weight", name) is not None for name in state)
    inputs, channels = state["conv_first.weight"].shape[1], len(state["conv_last.weight"])
    fold = _scale(inputs, channels)
    if fold not in (1, 2, 4) or doublings > 3:
        return None
    scale = 2**doublings // fold
    around = Surroundings(
        scale, channels, multiple=4 if fold > 1 else 1, minimum=4 if fold > 1 else 2, keeps_tone=scale > 1
    )
    counts = {"Concat": 12 * blocks, "Reorg": fold > 1, "Interp": doublings}
    return _Found("RRDBNet", rrdbnet, state, around, counts, fold)


def _rename_rrdbnet(state: State) -> State:
    """Returns the weights of an RRDBNet by the names of Real-ESRGAN, given those of ESRGAN, old or new, or these."""
    patterns = {r"RRDB_trunk\.(\d+)\.RDB(\d)": r"body.\1.rdb\2", "trunk_conv": "conv_body", "HRconv": "conv_hr"}
    patterns[r"upconv(\d)"] = r"conv_up\1"
    if "model.1.sub.0.RDB1.conv1.0.weight" in state:
        trunk = max(int(match[1]) for name in state if (match := re.match(r"model\.1\.sub\.(\d+)\.", name)))
        last = max(int(name.split(".")[1]) for name in state)
        patterns = {r"model\.1\.sub\.(\d+)\.RDB(\d)\.(conv\d)\.0": r"body.\1.rdb\2.\3", r"model\.0": "conv_first"}
        patterns |= {rf"model\.1\.sub\.{trunk}": "conv_body", rf"model\.{last}": "conv_last"}
        patterns |= {rf"model\.{3 * i}": f"conv_up{i}" for i in range(1, (last - 4) // 3 + 1)}
        patterns[rf"model\.{last - 2}"] = "conv_hr"
    renamed = {}
    for name, value in state.items():
        found = next((old for old in patterns if re.match(rf"{old}\.", name)), None)
        renamed[name if found is None else re.sub(rf"^{found}\.", f"{patterns[found]}.", name)] = value
    return renamed


def _span(state: State) -> _Found | None:
    if "block_1.c1_r.eval_conv.weight" not in state:
        return None
    merged: dict[str, NDArray[Any]] = {}
    for name, value in state.items():
        if match := re.fullmatch(r"(.*)\.eval_conv\.weight", name):
            merged[name], merged[f"{match[1]}.eval_conv.bias"] = _merge(state, match[1])
        elif not re.search(r"\.(sk|conv\.\d|eval_conv)\.|^no_norm$", name):
            merged[name] = value
    channels = state["conv_1.eval_conv.weight"].shape[1]
    scale = _scale(len(state["upsampler.0.weight"]), channels)
    counts = {"MemoryData": "no_norm" not in state, "PixelShuffle": scale > 1}
    if counts["MemoryData"] and channels != 3:
        return None
    return _Found("SPAN", span, merged, Surroundings(scale, channels, keeps_tone=scale > 1), counts)


def _merge(state: State, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Merges three convolutions in a row and one of 1x1 beside them into one of 3x3: its weight and bias, float32."""
    parts = {part: state[f"{name}.{part}.weight"].astype(np.float32) for part in ("conv.0", "conv.1", "conv.2", "sk")}
    biases = {part: state[f"{name}.{part}.bias"].astype(np.float32) for part in parts}
    first, middle, last = parts["conv.0"][:, :, 0, 0], parts["conv.1"], parts["conv.2"][:, :, 0, 0]
    weight = np.einsum("om,mnhw,ni->oihw", last, middle, first, optimize=True)
    weight[:, :, 1, 1] += parts["sk"][:, :, 0, 0]
    bias = last @ (middle.sum((2, 3)) @ biases["conv.0"] + biases["conv.1"]) + biases["conv.2"] + biases["sk"]
    return weight.astype(np.float32), bias.astype(np.float32)


def _upcunet(state: State) -> _Found | None:
    first = state.get("unet1.conv1.conv.0.weight")
    if first is not None and first.shape[1] > 3:  # the fast variant puts pixels together, which is not written yet
        return None
    if "unet2.conv_bottom.weight" not in state:
        return None
    channels = state["unet1.conv1.conv.0.weight"].shape[1]
    thrice, fourfold = state["unet1.conv_bottom.weight"].shape[2] == 5, "conv_final.weight" in state
    scale, margin, multiple = (4, 19, 2) if fourfold else (3, 14, 4) if thrice else (2, 18, 2)
    around = Surroundings(scale, channels, margin, multiple, 32, adds_picture=fourfold)
    return _Found("UpCunet", upcunet, state, around, {"Deconvolution": thrice, "PixelShuffle": fourfold})


def _drunet(state: State) -> _Found | None:
    """Recognises a DRUNet of which one channel is its level of noise."""
    if "m_head.weight" not in state or "m_tail.weight" not in state:
        return None
    channels = len(state["m_tail.weight"])
    if state["m_head.weight"].shape[1] != channels + 1:
        return None
    level = {
        "level.weight": np.zeros((1, channels, 1, 1), np.float32),
        "level.bias": np.full(1, NOISE_LEVEL, np.float32),
    }
    convolutions = 1 + sum(re.match(r"m_up\d\.0\.", name) is None for name in state)
    around = Surroundings(1, channels, multiple=8, keeps_tone=False)
    return _Found("DRUNet", drunet, {**state, **level}, around, {"Convolution": convolutions})


def _scale(many: int, few: int) -> int:
    """Returns how many times wider a picture of `few` channels is whose pixels were, or become, `many` channels."""
    factor = math.isqrt(many // few)
    if factor**2 * few != many:
        raise ValueError
    return factor


EXPORTS: Final[tuple[Callable[[State], _Found | None], ...]] = (_compact, _rrdbnet, _span, _upcunet, _drunet)
"""A function for each architecture: None if the weights are not of it."""
