"""Where models are kept between runs, and whether any may be fetched."""

from __future__ import annotations

import os
from pathlib import Path

from ..files import cache_dir


def models_dir() -> Path:
    """The folder of fetched models; imported and converted ones are in folders below it."""
    return cache_dir() / "models"


def is_offline() -> bool:
    """Whether UPSCALER_OFFLINE forbids fetching."""
    return os.environ.get("UPSCALER_OFFLINE", "0") not in ("", "0")
