"""What computes tiles: networks and the plain filter; on which device, how precisely; what to do when it fails."""

from .ahead import Ahead, ahead
from .base import Engine, EngineInfo
from .channels import adapted
from .load import engine_for
from .retry import run
from .strength import Tempered

__all__ = ["Ahead", "Engine", "EngineInfo", "Tempered", "adapted", "ahead", "engine_for", "run"]
