"""From a model of the catalog to the engine that computes with it."""

from __future__ import annotations

from ..catalog import Model, locate
from ..diffusion.options import Diffusion
from ..errors import ModelError
from .base import CanvasEngine, Engine
from .resample import ResampleEngine


def engine_for(
    model: Model,
    device: str | None = None,
    precision: str = "auto",
    other: Model | None = None,
    share: float = 1.0,
) -> Engine:
    """The engine for a model, whose file is fetched if need be; loads torch only if it is a network.

    With `other`, `share` of the weights are the model's and the rest are the other's. Raises ModelError when a file
    cannot be had or used, PlanError when device or precision are not to be had.
    """
    if model.kind == "resample":
        return ResampleEngine()
    file = locate(model)
    mixed = None if other is None else locate(other)
    try:
        from .checkpoint import Checkpoint
        from .network import NetworkEngine
    except (ImportError, OSError) as error:
        raise ModelError(f"torch or spandrel cannot be loaded ({error}). See upscaler doctor.") from error
    reach = model.reach if mixed is None else None
    return NetworkEngine(
        Checkpoint(file, mixed, share), name=model.name, device=device, precision=precision, reach=reach
    )


def canvas_engine_for(
    model: Model, options: Diffusion, device: str | None = None, precision: str = "auto", memory: int | None = None
) -> CanvasEngine:
    """The engine for a diffusion model, which is fetched if need be: one that enlarges, or a generator that refines.

    `memory` in bytes; None is what is free. Raises ModelError, PlanError, OutOfMemory.
    """
    try:
        from .canvas import Enlarging, Refining
    except (ImportError, OSError) as error:
        raise ModelError(f"torch or diffusers cannot be loaded ({error}). See upscaler doctor.") from error
    kind = Refining if model.kind == "generator" else Enlarging
    return kind(model, options, device=device, precision=precision, memory=memory)
