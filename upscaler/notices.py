"""Warnings about single pictures: they are logged, and collected for the report on a job."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger("upscaler")

_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


def warn(message: str, *values: object) -> None:
    """Logs a warning about a picture; `values` take the place of %s and the like in `message`."""
    log.warning(message, *values)
    collected = _collected.get()
    if collected is not None:
        collected.append(message % values)


@contextmanager
def collect() -> Iterator[list[str]]:
    """Yields a list of the warnings that are given inside the context in the same thread."""
    texts: list[str] = []
    token = _collected.set(texts)
    try:
        yield texts
    finally:
        _collected.reset(token)
