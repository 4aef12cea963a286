"""Where everything is kept between runs, and whether anything may be fetched."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def home() -> Path:
    """The folder of everything that is kept between runs: UPSCALER_HOME, or the platform's folder for caches."""
    return Path(os.environ.get("UPSCALER_HOME") or user_cache_path("upscaler", appauthor=False))


def folder() -> Path:
    """Of models: those fetched lie in it, those imported and converted in folders below."""
    return home() / "models"


def is_offline() -> bool:
    """Whether UPSCALER_OFFLINE forbids to fetch anything."""
    return os.environ.get("UPSCALER_OFFLINE", "0") not in ("", "0")
