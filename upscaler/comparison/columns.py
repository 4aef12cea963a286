"""The columns of a comparison: models, each with every value of the options that are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import PurePath
from typing import Any

import numpy as np

from .. import catalog
from ..catalog import Model
from ..errors import PlanError
from ..pipeline import Pipeline, PipelineOptions

MOST_COLUMNS = 24
"""More are neither seen on a sheet nor computed by intention."""

DEFAULT_COLUMNS = 8
"""As many are compared where no model is named."""


@dataclass(frozen=True, slots=True)
class Column:
    """One way to enlarge, and what it is called."""

    label: str
    pipeline: Pipeline

    def native_scale(self) -> int:
        """Returns how many times its model enlarges by itself. Loads the model if only its file says it."""
        return self.pipeline.scale or self.pipeline.estimate(np.zeros((1, 1, 3), np.uint8)).result.width


def default_models() -> list[str]:
    """Returns the names of the networks that enlarge and are embedded, imported or fetched: at most DEFAULT_COLUMNS.

    Those that only an installed package carries are left out: they may be many, and nobody has asked for each.
    """
    networks = [replace(model, package=None) for model in catalog.models() if model.kind == "network"]
    here = [model.name for model in networks if model.scale != 1 and catalog.find_local(model) is not None]
    return here[:DEFAULT_COLUMNS]


def find_columns(
    models: Iterable[str | Model], options: PipelineOptions, values: Mapping[str, Sequence[Any]] | None = None
) -> list[Column]:
    """Returns a column for each model and each of the `values` of options, such as {"denoise": ("auto", 0.5)}.

    The diffusion models among them take `options.diffusion`, and networks do without. Raises ModelError for an
    unknown model, PlanError for a value out of its range or too many columns.
    """
    found = [model if isinstance(model, Model) else catalog.find(model) for model in models]
    known = list({model.name: model for model in found}.values())
    chosen = {name: tuple(dict.fromkeys(several)) for name, several in (values or {}).items() if several}
    combinations = list(product(*chosen.values()))
    if len(known) * len(combinations) > MOST_COLUMNS:
        raise PlanError(f"{len(known) * len(combinations)} columns are too many. Compare {MOST_COLUMNS} at most.")
    columns = []
    for model in known:
        own = options if model.facts.takes_diffusion else replace(options, diffusion=None)
        for combination in combinations:
            settings = dict(zip(chosen, combination, strict=True))
            several = {name: value for name, value in settings.items() if len(chosen[name]) > 1}
            shown = [f"{name} {value if isinstance(value, str) else f'{value:g}'}" for name, value in several.items()]
            label = ", ".join([PurePath(model.name).name, *shown])
            columns.append(Column(label, Pipeline(model, replace(own, **settings))))
    return columns
