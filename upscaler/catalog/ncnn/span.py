"""SPAN (Wan et al., 2023), whose convolutions are merged when it is exported: 4x-ClearReality and its like."""

from __future__ import annotations

import numpy as np

from ...arrays import FloatArray
from .walk import MULTIPLY, SUBTRACT, Blob, Walk

_MEAN = (0.4488, 0.4371, 0.4040)
_RANGE = 255.0


def span(walk: Walk) -> Blob:
    """Six blocks that weigh themselves; four of their results together become pixels."""
    x = walk.input
    if walk.count("MemoryData"):
        x = _normalise(walk, x)
    else:
        walk.weights["no_norm"] = np.zeros(1, np.float32)
    first = _merged_convolution(walk, x, "conv_1")
    b1, _ = _block(walk, first, "block_1")
    b5 = b1
    for i in range(2, 6):
        b5, _ = _block(walk, b5, f"block_{i}")
    b6, inner = _block(walk, b5, "block_6")
    x = walk.concat(first, _merged_convolution(walk, b6, "conv_2"), b1, inner)
    x = walk.convolution(x, "conv_cat", kernel=1)
    return walk.shuffle(walk.convolution(x, "upsampler.0"))


def _normalise(walk: Walk, x: Blob) -> Blob:
    constant, mean = walk.constant()
    if mean.size != len(_MEAN) or not np.allclose(mean, _MEAN, atol=1e-3):
        walk.refuse(f"it subtracts {mean.tolist()} from a picture where SPAN subtracts {list(_MEAN)}")
    x = walk.step("BinaryOp", x, constant, operation=SUBTRACT)
    return walk.step("BinaryOp", x, operation=MULTIPLY, scalar=1, value=_RANGE)


def _block(walk: Walk, x: Blob, name: str) -> tuple[Blob, Blob]:
    """The result of a block, and that of its first convolution, activated."""
    inner = walk.step("Swish", _merged_convolution(walk, x, f"{name}.c1_r"))
    y = walk.step("Swish", _merged_convolution(walk, inner, f"{name}.c2_r"))
    y = _merged_convolution(walk, y, f"{name}.c3_r")
    weight = walk.step("BinaryOp", walk.step("Sigmoid", y), operation=SUBTRACT, scalar=1, value=0.5)
    return walk.step("BinaryOp", walk.add(y, x), weight, operation=MULTIPLY), inner


def _merged_convolution(walk: Walk, x: Blob, name: str) -> Blob:
    """A convolution that was trained as a chain of three beside one of 1x1.

    It is written as such a chain again, of which only the middle does anything: what spandrel merges from it is exactly
    what was stored.
    """
    result = walk.convolution(x, f"{name}.eval_conv")
    weight, bias = walk.weights[f"{name}.eval_conv.weight"], walk.weights[f"{name}.eval_conv.bias"]
    outputs, inputs = weight.shape[:2]
    middle = np.zeros((2 * outputs, 2 * inputs, 3, 3), np.float32)
    middle[:outputs, :inputs] = weight
    parts = {
        "sk": (np.zeros((outputs, inputs, 1, 1), np.float32), np.zeros_like(bias)),
        "conv.0": (_eye(2 * inputs, inputs), np.zeros(2 * inputs, np.float32)),
        "conv.1": (middle, np.concatenate([bias, np.zeros_like(bias)])),
        "conv.2": (_eye(outputs, 2 * outputs), np.zeros_like(bias)),
    }
    for part, (kernel, offset) in parts.items():
        walk.weights[f"{name}.{part}.weight"], walk.weights[f"{name}.{part}.bias"] = kernel, offset
    return result


def _eye(outputs: int, inputs: int) -> FloatArray:
    """The weights of a convolution of 1x1 that passes on what it takes."""
    return np.eye(outputs, inputs, dtype=np.float32)[..., None, None]
