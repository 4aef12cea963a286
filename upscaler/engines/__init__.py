"""What computes: networks and the plain filter in tiles, diffusion models on canvases; what to do when that fails."""

from .ahead import Ahead, ahead
from .base import CanvasEngine, CanvasPlan, Engine, EngineInfo, is_canvas
from .channels import adapted
from .load import engine_for
from .loaded import Loaded
from .retry import run
from .strength import Tempered

__all__ = [
    "Ahead",
    "CanvasEngine",
    "CanvasPlan",
    "Engine",
    "EngineInfo",
    "Loaded",
    "Tempered",
    "adapted",
    "ahead",
    "engine_for",
    "is_canvas",
    "run",
]
