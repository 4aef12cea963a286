"""Cuts faces out of a picture, upright and of one size, and puts them back over a soft mask.

Places are continuous: 0, 0 is the corner of a picture, and the middle of its first pixel is at 0.5, 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, PixelArray, to_float
from ..picture import resize, strips
from ..tiling import Size, Window

SIDE = 512
"""Pixels a side of the square in which restorers take and give a face."""

TEMPLATE = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
"""Where the five landmarks lie in that square, as in the faces of FFHQ that restorers learn from: face_template in
facexlib/utils/face_restoration_helper.py of facexlib (MIT)."""

EYES = float(np.linalg.norm(TEMPLATE[1] - TEMPLATE[0]))
"""The distance between the eyes in that square."""

MIDDLE, RADII = (256.0, 275.0), (185.0, 222.0)
"""The mask in that square: a rounded rectangle from above the brows to below the chin."""

FEATHER = 0.22
"""The share of the mask's radius over which it fades."""

LEAST_FEATHER = 3.0
"""Pixels of the result over which it fades at least."""

COARSE = 32.0
"""Pixels of that square, a quarter of the distance between the eyes: colours of larger areas are the source's."""

MARGIN = 8
"""Pixels around what is taken out of a picture, for the filter."""

Affine: TypeAlias = NDArray[np.float64]
"""(2, 3): maps places in one picture to places in another."""


def align(landmarks: Sequence[tuple[float, float]]) -> tuple[Affine, float]:
    """Returns the similarity that brings five landmarks closest to TEMPLATE in the sense of least squares, and how far
    they are from it then: the root mean square in terms of the distance between the eyes of TEMPLATE."""
    points = np.asarray(landmarks, float)
    x, y = points.T
    one, zero = np.ones(len(points)), np.zeros(len(points))
    system = np.concatenate([np.stack([x, -y, one, zero], axis=1), np.stack([y, x, zero, one], axis=1)])
    (a, b, c, d), *_ = np.linalg.lstsq(system, TEMPLATE.T.ravel(), rcond=None)
    matrix = np.array([(a, -b, c), (b, a, d)])
    misses = points @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE
    return matrix, float(np.sqrt((misses**2).sum(axis=1).mean())) / EYES


def from_result(matrix: Affine, source: Size, window: Window) -> Affine:
    """Returns the map from a part of what `source` is enlarged to, to where `matrix` maps the source."""
    factors = np.array([source.width / window.whole.width, source.height / window.whole.height, 1.0])
    return _seen_from(matrix * factors, window.region.x, window.region.y)


def can_be_seen(matrix: Affine, size: Size) -> bool:
    """Returns whether the square, to which `matrix` maps a picture of that size, has any of it."""
    near, far = _box(invert(matrix), size)
    return bool((near < far).all())


def cut(pixels: PixelArray, matrix: Affine, side: int = SIDE) -> FloatArray:
    """Cuts out a face, which `matrix` brings into the square: (side, side, channels), 0..1. What lies beyond the
    picture's border repeats that."""
    (left, top), (right, bottom) = _box(invert(matrix), Size(pixels.shape[1], pixels.shape[0]))
    region = to_float(pixels[top:bottom, left:right])
    return np.clip(_warp(region, side / SIDE * _seen_from(matrix, left, top), Size(side, side)), 0, 1)


def paste(canvas: PixelArray, face: FloatArray, matrix: Affine, strength: float) -> None:
    """Puts a face, (SIDE, SIDE, channels), into a canvas, (height, width, channels). Pixels outside the mask stay as
    they are. `matrix` maps the canvas to the square; `strength` is the face's share within the mask, 0..1."""
    back = invert(matrix)
    (left, top), (right, bottom) = _box(back, Size(canvas.shape[1], canvas.shape[0]))
    full = np.float32(np.iinfo(canvas.dtype).max)
    height = max(bottom - top, 0)
    for strip in strips(height) if scale_of(back) >= 1 else [slice(0, height)]:  # or shrinking would see their edges
        size, first = Size(right - left, strip.stop - strip.start), top + strip.start
        mask = strength * mask_in(_seen_from(matrix, left, first), size)[:, :, None]
        part: Any = canvas[first : first + size.height, left:right]
        if mask.any():
            warped = full * np.clip(_warp(face, _counted_from(back, left, first), size), 0, 1)
            np.copyto(part, np.rint(part + mask * (warped - part)).astype(canvas.dtype), where=mask > 0)


def mask_in(matrix: Affine, size: Size) -> FloatArray:
    """Returns the mask, (height, width), 0..1, in a picture of that size, which `matrix` maps to the square. It is 0
    outside, and fades over FEATHER of its radius, or at least LEAST_FEATHER pixels of the picture."""
    x, y = (np.arange(side, dtype=np.float32) + 0.5 for side in (size.width, size.height))
    rows = np.asarray(matrix, np.float32)
    across, down = (
        (rows[axis, 0] * x[None, :] + rows[axis, 1] * y[:, None] + rows[axis, 2] - MIDDLE[axis]) / RADII[axis]
        for axis in (0, 1)
    )
    distance = 1 - (across**4 + down**4) ** 0.25  # from the rim inward, in radii
    feather = max(FEATHER, LEAST_FEATHER * scale_of(matrix) / min(RADII))
    share = np.clip(distance / feather, 0, 1)
    mask: FloatArray = share**2 * (3 - 2 * share)
    return mask


def keep_tone(face: FloatArray, source: FloatArray) -> FloatArray:
    """Gives a restored face the coarse colours of its source; both are (SIDE, SIDE, channels), 0..1."""
    change: Any = cv2.GaussianBlur(source - face, (0, 0), COARSE, borderType=cv2.BORDER_REFLECT_101)
    kept: FloatArray = np.clip(face + change.reshape(face.shape), 0, 1)
    return kept


def measure_difference(face: FloatArray, source: FloatArray, matrix: Affine) -> float:
    """Returns the RMSE within the mask of a restored face and its source, (SIDE, SIDE, channels), in 8-bit levels.

    They are compared at the size of the source, to which `matrix` belongs, if that is smaller: what a restorer adds to
    it, finer than the source can show, does not count.
    """
    side = max(min(round(SIDE / scale_of(matrix)), SIDE), 8)
    whole = Size(SIDE, SIDE)
    small, other, mask = (
        cv2.resize(np.asarray(each), (side, side), interpolation=cv2.INTER_AREA)
        for each in (face, source, mask_in(np.eye(2, 3), whole))
    )
    squares = ((small - other) ** 2).reshape(side, side, -1).mean(axis=2)
    return 255 * math.sqrt((mask * squares).sum() / mask.sum())


def measure_shift(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Returns how far landmarks in a square, (5, 2), have moved in the mean, in hundredths of the distance between the
    eyes."""
    return 100 * float(np.linalg.norm(after - before, axis=1).mean()) / EYES


def scale_of(matrix: Affine) -> float:
    """Returns how many times as large things are after a map as before it."""
    return math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))


def invert(matrix: Affine) -> Affine:
    """Returns the map in the other direction."""
    back = np.linalg.inv(matrix[:, :2])
    return np.concatenate([back, -back @ matrix[:, 2:]], axis=1)


def _seen_from(matrix: Affine, x: float, y: float) -> Affine:
    """Returns the same map for places that are counted from x, y on."""
    return np.concatenate([matrix[:, :2], matrix[:, 2:] + matrix[:, :2] @ [[x], [y]]], axis=1)


def _counted_from(matrix: Affine, x: float, y: float) -> Affine:
    """Returns the same map to places that are counted from x, y on."""
    return matrix - [[0, 0, x], [0, 0, y]]


def _warp(pixels: FloatArray, matrix: Affine, size: Size) -> FloatArray:
    """Maps pixels, (height, width, channels), into a picture of `size` by Lanczos' filter.

    Where they become smaller they are mapped into one that is so many times larger that none is passed over, which is
    then shrunk.
    """
    times = max(math.ceil(1 / scale_of(matrix)), 1)
    matrix = times * matrix
    half = matrix[:, :2].sum(axis=1, keepdims=True) / 2 - 0.5  # OpenCV counts from the middles of pixels
    moved = np.concatenate([matrix[:, :2], matrix[:, 2:] + half], axis=1)
    larger = (times * size.width, times * size.height)
    warped: Any = cv2.warpAffine(pixels, moved, larger, flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    warped = warped.reshape(*larger[::-1], pixels.shape[2])
    return warped if times == 1 else resize(warped, size)


def _box(back: Affine, size: Size) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the whole pixels, first and past the last, around the square in a picture of `size`, to which `back`
    maps the square."""
    corners = np.array([(0, 0), (SIDE, 0), (0, SIDE), (SIDE, SIDE)]) @ back[:, :2].T + back[:, 2]
    near = np.floor(corners.min(axis=0)).astype(int) - MARGIN
    far = np.ceil(corners.max(axis=0)).astype(int) + MARGIN
    sides = (size.width, size.height)
    return np.clip(near, 0, sides), np.clip(far, 0, sides)
