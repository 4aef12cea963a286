"""The type of the callbacks that report progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

ProgressCallback: TypeAlias = "Callable[[int, int | None], None]"
"""Called as work is done: how much is done, and how much there is in all, None when that is not known.

The unit is the caller's: tiles and steps for a picture, bytes for a download. The amount done may fall when something
is begun again.
"""
