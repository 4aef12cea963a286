"""Chooses the generator for users who name none: the best of the catalog that this machine can run."""

from __future__ import annotations

import torch

from .. import catalog
from ..catalog import Model
from ..device import borrows_memory, free_memory, memory_for_tiles, precision_name
from ..errors import ModelError


def choose(device: torch.device, memory: int | None = None, *, offline: bool | None = None) -> tuple[Model, str]:
    """Returns the first generator of the catalog, where the best come first, that fits into `memory` bytes of the
    device, by default the free ones, or the smallest if none fits; and the reason, as part of a sentence.

    Only models for commercial use without a request for access are considered. On a CPU, where large ones take minutes
    for a picture, and offline, a model that is on this machine already is preferred to any other. Raises ModelError
    when there is none and fetching is forbidden.
    """
    room = memory
    if room is None:
        room = memory_for_tiles(device) if borrows_memory(device) else free_memory(device)
    free = [
        model
        for model in catalog.models()
        if model.facts.generates
        and model.commercial
        and (model.repository is None or not model.repository.gated)
        and (model.memory is not None or model.file is not None)
    ]
    present = [model for model in free if catalog.find_local(model) is not None]
    forbidden = catalog.is_offline() if offline is None else offline
    if forbidden and not present:
        raise ModelError(
            "no generator is on this machine, and fetching is forbidden. Name a folder or a file of one, or allow "
            "fetching."
        )
    is_bound = bool(present) and (forbidden or device.type == "cpu")
    candidates, kind = (present, "on this machine") if is_bound else (free, "free for all to use")
    times = 2 if precision_name(device) == "fp32" else 1  # the catalog's figures are for half precision
    fitting = [model for model in candidates if times * (model.memory or 0) <= room]
    there = f"{room / 1e9:.1f} GB on {device}"
    if fitting:
        return fitting[0], f"the best of those that are {kind} and fit into {there}"
    smallest = min(candidates, key=lambda model: model.memory or 0)
    return smallest, f"the smallest of those that are {kind}; none fits into {there}"
