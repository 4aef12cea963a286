"""Faces: found by a small network, cut out upright, judged, and put back over a soft mask."""

from .detector import FaceDetector
from .geometry import (
    SIDE,
    Affine,
    align,
    can_be_seen,
    cut,
    from_result,
    keep_tone,
    measure_difference,
    measure_shift,
    paste,
)
from .options import FaceOptions
from .rule import measure_sharpness, reason_to_leave

__all__ = [
    "SIDE",
    "Affine",
    "FaceDetector",
    "FaceOptions",
    "align",
    "can_be_seen",
    "cut",
    "from_result",
    "keep_tone",
    "measure_difference",
    "measure_sharpness",
    "measure_shift",
    "paste",
    "reason_to_leave",
]
