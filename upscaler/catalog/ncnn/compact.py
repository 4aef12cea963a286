"""SRVGGNetCompact, of Real-ESRGAN (Wang et al., 2021): realesr-animevideov3, realesr-general-x4v3 and their like."""

from __future__ import annotations

from .walk import Blob, Walk


def compact(walk: Walk) -> Blob:
    """Convolutions with an activation after each but the last, whose channels become pixels; added to the picture."""
    x = walk.input
    last = 2 * walk.count("Convolution") - 2
    for i in range(0, last, 2):
        x = walk.prelu(walk.convolution(x, f"body.{i}"), f"body.{i + 1}")
    x = walk.shuffle(walk.convolution(x, f"body.{last}"))
    return walk.add(x, walk.nearest(walk.input, x.zoom))
