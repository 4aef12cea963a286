"""Files of models, fetched under a progress bar."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .console import download_bar

if TYPE_CHECKING:
    from ..catalog import Model


def download(
    model: Model, visible: bool | None = None, offline: bool = False, allow_pickle: bool = False
) -> Path | None:
    """The model's file, fetched under a progress bar if it must be; None if it needs none. Raises ModelError.

    `visible`: whether there is a bar; None has one on a terminal.
    """
    from .. import catalog

    if model.facts.loader is None:
        return None
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    with download_bar(model.name, on_terminal if visible is None else visible) as progress:
        return catalog.fetch_model(model, progress, offline=offline or None, allow_pickle=allow_pickle)
