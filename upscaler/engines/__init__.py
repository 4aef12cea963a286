"""What computes: networks and the plain filter in tiles, diffusion models on canvases; what to do when that fails."""

from .ahead import Ahead, ahead
from .base import Engine, EngineInfo, ImageEngine, ImagePlan, is_image_engine
from .blended import Blended
from .channels import adapted
from .pool import EnginePool, engine_for
from .retry import run

__all__ = [
    "Ahead",
    "Blended",
    "Engine",
    "EngineInfo",
    "EnginePool",
    "ImageEngine",
    "ImagePlan",
    "adapted",
    "ahead",
    "engine_for",
    "is_image_engine",
    "run",
]
