"""The architectures whose graphs can be read: a function that walks each, and the table of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ...arrays import FloatArray
from .walk import MULTIPLY, SUBTRACT, Blob, Walk

_CONCATS = 12
"""Concat layers in one RRDB: four in each of its three dense blocks."""

_FOLDS = (1, 1 / 2, 1 / 4)
"""Zooms before RRDBNet's first convolution that spandrel can tell from the channels of that."""

_SPAN_MEAN = (0.4488, 0.4371, 0.4040)
_SPAN_RANGE = 255.0

_CUGAN_SLOPE = 0.1
_CROP_AXES = (-2.0, -1.0)


def compact(walk: Walk) -> Blob:
    """Walks SRVGGNetCompact, of Real-ESRGAN (Wang et al., 2021): convolutions, with activations between them.

    The channels of the last one become pixels, which are added to the picture, enlarged by repeating its pixels.
    """
    x = walk.input
    last = 2 * walk.count("Convolution") - 2
    for i in range(0, last, 2):
        x = walk.prelu(walk.convolution(x, f"body.{i}"), f"body.{i + 1}")
    x = walk.shuffle(walk.convolution(x, f"body.{last}"))
    return walk.add(x, walk.nearest(walk.input, x.zoom))


def rrdbnet(walk: Walk) -> Blob:
    """Walks RRDBNet, of ESRGAN (Wang et al., 2018), with the names of Real-ESRGAN: residual blocks, then doublings.

    Before the first convolution, blocks of pixels may become channels.
    """
    x = walk.unshuffle(walk.input) if walk.count("Reorg") else walk.input
    if x.zoom not in _FOLDS:
        walk.refuse(f"it makes the picture {x.zoom:g} times as wide first, where RRDBNet halves or quarters it")
    x = first = walk.convolution(x, "conv_first")
    for i in range(walk.count("Concat") // _CONCATS):
        block = x
        for j in range(1, 4):
            x = _dense_block(walk, x, f"body.{i}.rdb{j}")
        x = walk.add(block, x, 0.2)
    x = walk.add(first, walk.convolution(x, "conv_body"))
    doublings = 0
    while walk.has("Interp", x):
        doublings += 1
        x = walk.leaky(walk.convolution(walk.nearest(x, 2), f"conv_up{doublings}"), 0.2)
    x = walk.leaky(walk.convolution(x, "conv_hr"), 0.2)
    return walk.convolution(x, "conv_last")


def _dense_block(walk: Walk, x: Blob, name: str) -> Blob:
    parts = [x]
    for i in range(1, 5):
        parts.append(walk.leaky(walk.convolution(walk.concat(*parts), f"{name}.conv{i}"), 0.2))
    return walk.add(x, walk.convolution(walk.concat(*parts), f"{name}.conv5"), 0.2)


def span(walk: Walk) -> Blob:
    """Walks SPAN (Wan et al., 2023), whose convolutions are merged at export: six blocks that weigh their own results.

    Four of the results, joined by channels, become pixels.
    """
    x = walk.input
    if walk.count("MemoryData"):
        x = walk.step("BinaryOp", x, walk.constant(_SPAN_MEAN), operation=SUBTRACT)
        x = walk.step("BinaryOp", x, operation=MULTIPLY, scalar=1, value=_SPAN_RANGE)
    else:
        walk.weights["no_norm"] = np.zeros(1, np.float32)
    first = _merged_convolution(walk, x, "conv_1")
    b1, _ = _span_block(walk, first, "block_1")
    b5 = b1
    for i in range(2, 6):
        b5, _ = _span_block(walk, b5, f"block_{i}")
    b6, inner = _span_block(walk, b5, "block_6")
    x = walk.concat(first, _merged_convolution(walk, b6, "conv_2"), b1, inner)
    x = walk.convolution(x, "conv_cat", kernel=1)
    return walk.shuffle(walk.convolution(x, "upsampler.0"))


def _span_block(walk: Walk, x: Blob, name: str) -> tuple[Blob, Blob]:
    """Walks a block; returns its result, and that of its first convolution after the activation."""
    inner = walk.step("Swish", _merged_convolution(walk, x, f"{name}.c1_r"))
    y = walk.step("Swish", _merged_convolution(walk, inner, f"{name}.c2_r"))
    y = _merged_convolution(walk, y, f"{name}.c3_r")
    weight = walk.step("BinaryOp", walk.step("Sigmoid", y), operation=SUBTRACT, scalar=1, value=0.5)
    return walk.step("BinaryOp", walk.add(y, x), weight, operation=MULTIPLY), inner


def _merged_convolution(walk: Walk, x: Blob, name: str) -> Blob:
    """Walks a convolution that was trained as a chain of three beside one of 1x1.

    Its weights are kept as such a chain, of which only the middle changes anything, so that spandrel merges them to
    exactly those that were stored.
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
    """Returns the weights of a 1x1 convolution that passes its channels on: float32 (outputs, inputs, 1, 1)."""
    return np.eye(outputs, inputs, dtype=np.float32)[..., None, None]


def upcunet(walk: Walk) -> Blob:
    """Walks UpCunet, of Real-CUGAN: two U-shaped networks, of which the second corrects what the first enlarges.

    A graph has neither the margin around the picture nor, for a scale of 4, the enlarged picture that is added at the
    end: the program that runs it does both, as the PyTorch network does.
    """
    thrice = walk.count("Deconvolution", kernel=5) > 0
    rough = _first(walk, walk.input, "unet1", thrice)
    x = walk.add(_second(walk, rough, "unet2"), _crop(walk, rough, 20))
    if not walk.count("PixelShuffle"):
        return x
    x = walk.convolution(x, "conv_final", padding=0)
    return walk.shuffle(_crop(walk, x, 1))


def _first(walk: Walk, x: Blob, name: str, thrice: bool) -> Blob:
    wide = _pair(walk, x, f"{name}.conv1")
    x = _down(walk, wide, f"{name}.conv1_down")
    x = _weigh(walk, _pair(walk, x, f"{name}.conv2"), f"{name}.conv2")
    x = walk.add(_crop(walk, wide, 4), _up(walk, x, f"{name}.conv2_up"))
    x = walk.leaky(walk.convolution(x, f"{name}.conv3", padding=0), _CUGAN_SLOPE)
    if thrice:
        return walk.deconvolution(x, f"{name}.conv_bottom", kernel=5, stride=3, padding=2)
    return walk.deconvolution(x, f"{name}.conv_bottom", kernel=4, stride=2, padding=3)


def _second(walk: Walk, x: Blob, name: str) -> Blob:
    wide = _pair(walk, x, f"{name}.conv1")
    x = _down(walk, wide, f"{name}.conv1_down")
    half = _weigh(walk, _pair(walk, x, f"{name}.conv2"), f"{name}.conv2")
    x = _down(walk, half, f"{name}.conv2_down")
    x = _weigh(walk, _pair(walk, x, f"{name}.conv3"), f"{name}.conv3")
    x = walk.add(_crop(walk, half, 4), _up(walk, x, f"{name}.conv3_up"))
    x = _weigh(walk, _pair(walk, x, f"{name}.conv4"), f"{name}.conv4")
    x = walk.add(_crop(walk, wide, 16), _up(walk, x, f"{name}.conv4_up"))
    x = walk.leaky(walk.convolution(x, f"{name}.conv5", padding=0), _CUGAN_SLOPE)
    return walk.convolution(x, f"{name}.conv_bottom", padding=0)


def _pair(walk: Walk, x: Blob, name: str) -> Blob:
    x = walk.leaky(walk.convolution(x, f"{name}.conv.0", padding=0), _CUGAN_SLOPE)
    return walk.leaky(walk.convolution(x, f"{name}.conv.2", padding=0), _CUGAN_SLOPE)


def _down(walk: Walk, x: Blob, name: str) -> Blob:
    return walk.leaky(walk.convolution(x, name, kernel=2, stride=2, padding=0), _CUGAN_SLOPE)


def _up(walk: Walk, x: Blob, name: str) -> Blob:
    return walk.leaky(walk.deconvolution(x, name, kernel=2, stride=2), _CUGAN_SLOPE)


def _weigh(walk: Walk, x: Blob, name: str) -> Blob:
    """Walks a multiplication of each channel by a weight that follows from the means of all channels."""
    mean = walk.step("Pooling", x, method=1, whole=1)
    weight = walk.step("ReLU", walk.dense(mean, f"{name}.seblock.conv1"))
    weight = walk.step("Sigmoid", walk.dense(weight, f"{name}.seblock.conv2"))
    return walk.step("BinaryOp", x, weight, operation=MULTIPLY)


def drunet(walk: Walk) -> Blob:
    """Walks DRUNet (Zhang et al., 2021), which is only written: residual blocks at four sizes, down and up again.

    Its level of noise is a fourth channel, the same everywhere; `level` makes it of the picture, whose sides must be
    multiples of 8.
    """
    blocks = (walk.count("Convolution") - 6) // 14
    x = walk.convolution(walk.concat(walk.input, walk.convolution(walk.input, "level", kernel=1)), "m_head")
    larger = [x]
    for i in range(1, 4):
        x = _residual_blocks(walk, x, f"m_down{i}", range(blocks))
        x = walk.convolution(x, f"m_down{i}.{blocks}", kernel=2, stride=2, padding=0)
        larger.append(x)
    x = _residual_blocks(walk, x, "m_body", range(blocks))
    for i in range(3, 0, -1):
        x = walk.deconvolution(walk.add(x, larger.pop()), f"m_up{i}.0", kernel=2, stride=2)
        x = _residual_blocks(walk, x, f"m_up{i}", range(1, blocks + 1))
    return walk.convolution(walk.add(x, larger.pop()), "m_tail")


def _residual_blocks(walk: Walk, x: Blob, name: str, numbers: range) -> Blob:
    for i in numbers:
        inner = walk.leaky(walk.convolution(x, f"{name}.{i}.res.0"), 0)
        x = walk.add(x, walk.convolution(inner, f"{name}.{i}.res.2"))
    return x


def _crop(walk: Walk, x: Blob, margin: float) -> Blob:
    return walk.step("Crop", x, starts=(margin, margin), ends=(-margin, -margin), axes=_CROP_AXES)


ARCHITECTURES: Final[dict[str, tuple[str, Callable[[Walk], Blob]]]] = {
    "Deconvolution": ("UpCunet", upcunet),
    "Swish": ("SPAN", span),
    "Concat": ("RRDBNet", rrdbnet),
    "Convolution": ("SRVGGNetCompact", compact),
}
"""Name and walk, by typical layer. The first whose typical layer is in the graph is used."""
