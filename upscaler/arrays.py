"""Type names for the arrays that are passed through the package."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float32]
"""float32, 0..1, laid out (height, width, channels) or (tiles, height, width, channels)."""

PixelArray: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""uint8 (0..255) or uint16 (0..65535), (height, width, channels): 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA."""

Pixels: TypeAlias = Any
"""Pixels where they are computed (see `surface`), laid out as FloatArray: on the host a numpy array, float32; on a GPU
a tensor of its memory, float32, float16 or bfloat16, or the whole numbers of a source."""


def to_float(pixels: PixelArray) -> FloatArray:
    """Converts integer pixels to float32, 0..1; 255 (uint8) or 65535 (uint16) becomes exactly 1.0."""
    full = np.float32(np.iinfo(pixels.dtype).max)
    result: FloatArray = np.true_divide(pixels, full, dtype=np.float32)
    return result
