"""The names that programs import from `realesrgan` 0.3.0 and `basicsr`, which fail at import with torchvision 0.17 on.

Importing this package loads torch, since two of the names are networks.
"""

from .networks import RRDBNet, SRVGGNetCompact
from .realesrganer import RealESRGANer

__all__ = ["RRDBNet", "RealESRGANer", "SRVGGNetCompact"]
