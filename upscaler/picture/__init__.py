"""A picture in memory: pixels, colour profile, metadata. Nothing here knows file formats."""

from .alpha import bleed
from .canvas import allocate, strips
from .compression import jpeg_quality
from .metadata import GainMap, Metadata
from .noise import Wear, measure_wear
from .picture import Picture
from .resample import resize, support

__all__ = [
    "GainMap",
    "Metadata",
    "Picture",
    "Wear",
    "allocate",
    "bleed",
    "jpeg_quality",
    "measure_wear",
    "resize",
    "strips",
    "support",
]
