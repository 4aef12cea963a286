"""From a model of the catalog to the engine that computes with it."""

from __future__ import annotations

from ..catalog import Model
from ..errors import ModelError
from .base import Engine
from .resample import ResampleEngine


def engine_for(model: Model, device: str | None = None, precision: str = "auto") -> Engine:
    """The engine for a model; loads torch only if it is a network.

    Raises ModelError when its file cannot be used, PlanError when device or precision are not to be had.
    """
    if model.kind == "resample":
        return ResampleEngine()
    if model.file is None:
        raise ModelError(f"{model.name}: its file is not in this installation.")
    try:
        from .network import NetworkEngine
    except (ImportError, OSError) as error:
        raise ModelError(f"torch or spandrel cannot be loaded ({error}). See upscaler doctor.") from error
    return NetworkEngine(model.file, name=model.name, device=device, precision=precision, reach=model.reach)
