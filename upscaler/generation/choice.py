"""The generator for those who name none: of the catalog's, the best that this machine can run and anybody may use."""

from __future__ import annotations

import torch

from .. import catalog
from ..catalog import Model
from ..device import SHARE, free_memory, precision_name
from ..errors import ModelError


def choose(device: torch.device, memory: int | None = None, *, offline: bool | None = None) -> Model:
    """The first of the catalog's generators, which come in the order of their quality, that fits into `memory` bytes of
    the device, by default what is free; the one that takes least if none does.

    Only those that may be used commercially and without asking. A processor alone takes minutes for a picture with any
    of the large ones: there, as offline, only those that are on this machine already are considered, if there are any.
    Raises ModelError when there are none and fetching is forbidden.
    """
    room = free_memory(device) / SHARE if memory is None else memory
    free = [
        model
        for model in catalog.models()
        if model.kind == "generator"
        and model.commercial
        and (model.repository is None or not model.repository.gated)
        and (model.memory is not None or model.file is not None)
    ]
    present = [model for model in free if catalog.present(model) is not None]
    forbidden = catalog.is_offline() if offline is None else offline
    if forbidden and not present:
        raise ModelError(
            "no generator is on this machine, and fetching is forbidden. Name a folder or a file of one, or allow "
            "fetching."
        )
    candidates = present if present and (forbidden or device.type == "cpu") else free
    times = 2 if precision_name(device) == "fp32" else 1  # the catalog's figures are for half precision
    fitting = [model for model in candidates if times * (model.memory or 0) <= room]
    return fitting[0] if fitting else min(candidates, key=lambda model: model.memory or 0)
