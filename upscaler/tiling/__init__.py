"""Pure arithmetic of tiles: where they lie, how they overlap. Knows no network, no file and no pixels."""

from .crop import Crop
from .geometry import Part, Region, Size, divide_length
from .parts import Band, Batch, Tile
from .plan import RAMP, Axis, Budget, Plan, TileRequirements, plan, plan_either_way
from .window import Window

__all__ = [
    "RAMP",
    "Axis",
    "Band",
    "Batch",
    "Budget",
    "Crop",
    "Part",
    "Plan",
    "Region",
    "Size",
    "Tile",
    "TileRequirements",
    "Window",
    "divide_length",
    "plan",
    "plan_either_way",
]
