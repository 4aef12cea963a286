"""Messages and progress bars of diffusers and transformers: kept from the terminal, their steps reported."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from ..progress import ProgressCallback


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Hides progress bars and messages of both libraries inside the context; yields a list that collects warnings."""
    messages: list[str] = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    before = [log.handlers for log in loggers]
    with_bars = [library for library in (diffusers_logging, transformers_logging) if library.is_progress_bar_enabled()]
    try:
        for log in loggers:
            log.handlers = [listener]
        for library in with_bars:
            library.disable_progress_bar()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield messages
    finally:
        for log, handlers in zip(loggers, before, strict=True):
            log.handlers = handlers
        for library in with_bars:
            library.enable_progress_bar()


@contextmanager
def report_steps(pipeline: Any, progress: ProgressCallback | None) -> Iterator[None]:
    """Makes a pipeline, inside the context, report its steps to `progress` in place of its progress bar."""
    if progress is None:
        yield
        return

    @contextmanager
    def bar(total: int) -> Iterator[Any]:
        steps = count(1)
        yield SimpleNamespace(update=lambda: progress(next(steps), total))

    pipeline.progress_bar = bar
    try:
        yield
    finally:
        del pipeline.progress_bar
