"""Pure arithmetic of tiles: where they lie, how they are cut, how they are joined. Knows no network, no file."""

from .blend import Band, blend
from .cut import Batch, Tile, cut
from .geometry import Region, Size
from .plan import RAMP, Axis, Budget, Plan, TileRequirements, plan

__all__ = [
    "RAMP",
    "Axis",
    "Band",
    "Batch",
    "Budget",
    "Plan",
    "Region",
    "Size",
    "Tile",
    "TileRequirements",
    "blend",
    "cut",
    "plan",
]
