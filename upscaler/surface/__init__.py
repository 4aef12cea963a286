"""Pixels where they are computed, on the host or on a GPU: cut, joined, held to the source, resized, rounded.

Each step exists once. What numpy and torch spell differently is a method of a `Surface`, of which there are two: `Host`
and `Device`. A step takes the surface on which the pixels lie that it is given.
"""

from .alpha import within_source
from .back_projection import LrRmse, back_project, correction_reach, fidelity_after_scale
from .base import Surface, surface_for, surface_of
from .blend import blend
from .cut import cut
from .finish import cut_bands, mix_bands, resize_bands, write_bands
from .host import HOST
from .statistics import Statistics
from .upload import Upload

__all__ = [
    "HOST",
    "LrRmse",
    "Statistics",
    "Surface",
    "Upload",
    "back_project",
    "blend",
    "correction_reach",
    "cut",
    "cut_bands",
    "fidelity_after_scale",
    "mix_bands",
    "resize_bands",
    "surface_for",
    "surface_of",
    "within_source",
    "write_bands",
]
