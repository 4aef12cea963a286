"""Engines compute pictures: networks and the plain filter in tiles, diffusion models as a whole; with checks."""

from .base import Engine, EngineInfo, ImageEngine, ImagePlan, is_image_engine
from .composite import adapt_channels, reduce_channels
from .passes import Pass, compute_together
from .pool import EngineOptions, EnginePool, check_share, engine_for
from .resample import ResampleEngine
from .retry import run_checked

__all__ = [
    "Engine",
    "EngineInfo",
    "EngineOptions",
    "EnginePool",
    "ImageEngine",
    "ImagePlan",
    "Pass",
    "ResampleEngine",
    "adapt_channels",
    "check_share",
    "compute_together",
    "engine_for",
    "is_image_engine",
    "reduce_channels",
    "run_checked",
]
