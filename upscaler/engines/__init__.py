"""What computes tiles: networks and the plain filter; on which device, how precisely; what to do when it fails."""

from .base import Engine, EngineInfo
from .channels import adapted
from .load import engine_for
from .retry import run

__all__ = ["Engine", "EngineInfo", "adapted", "engine_for", "run"]
