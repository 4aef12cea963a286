"""A picture in memory: pixels, colour profile, metadata. Nothing here knows file formats."""

from .alpha import HALO, bleed
from .canvas import allocate, strips
from .compression import jpeg_quality
from .detail import find_details
from .face import Face
from .layers import Layer, make_canvas, split_layers
from .metadata import GainMap, Metadata
from .noise import Wear, measure_wear
from .part import take_part
from .picture import Picture
from .resample import resize, support
from .sharpness import measure_detail, reduce_to

__all__ = [
    "HALO",
    "Face",
    "GainMap",
    "Layer",
    "Metadata",
    "Picture",
    "Wear",
    "allocate",
    "bleed",
    "find_details",
    "jpeg_quality",
    "make_canvas",
    "measure_detail",
    "measure_wear",
    "reduce_to",
    "resize",
    "split_layers",
    "strips",
    "support",
    "take_part",
]
