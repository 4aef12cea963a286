"""RRDBNet, of ESRGAN (Wang et al., 2018), in the names of Real-ESRGAN: what most models in ncnn's form are."""

from __future__ import annotations

from .walk import Blob, Walk

_CONCATS = 12
"""In a block: four in each of its three dense blocks."""

_FOLDS = (1, 1 / 2, 1 / 4)
"""What spandrel can tell from the channels of the first convolution."""


def rrdbnet(walk: Walk) -> Blob:
    """Residual blocks of dense blocks, then one doubling after the other; in front, pixels may become channels."""
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
