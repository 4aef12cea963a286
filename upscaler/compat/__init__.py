"""The names that programs import from `realesrgan` 0.3.0 and `basicsr`, neither of which can be imported any more.

Importing this package loads torch, since two of the names are networks.
"""

from .networks import RRDBNet, SRVGGNetCompact
from .realesrganer import RealESRGANer

__all__ = ["RRDBNet", "RealESRGANer", "SRVGGNetCompact"]
