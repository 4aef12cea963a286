"""Pure arithmetic of tiles: where they lie, how they overlap. Knows no network, no file and no pixels."""

from .geometry import Region, Size
from .parts import Band, Batch, Tile
from .plan import RAMP, Axis, Budget, Plan, TileRequirements, plan, plan_either_way

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
    "plan",
    "plan_either_way",
]
