"""The work of a worker, wherever it is: tasks in, messages out.

`processes` and `ray_cluster` bring them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from ...errors import DeviceLost, EngineError, UpscalerError, describe
from .. import stage_queues
from ..stages import Stages
from ..task import Task
from .messages import Failed, Finished, LogRecord, Message, Ready

log = logging.getLogger("upscaler")

LAST_WORDS = 1.0
"""Seconds after which a process ends whose device is lost: what it has told is on its way until then."""


def serve(stages: Stages, tasks: Iterable[Task | None], level: int, tell: Callable[[Message], None]) -> None:
    """Makes pictures until there are no more tasks; None says that there is none at the moment.

    `tell` is called from several threads, also with what the package logs at `level` or above. The stage that finishes
    a picture calls it, not the consumer of the pipeline, which gets an item only when the next one arrives.

    Ends the process when its device is lost, because only another process may be able to use it again.
    """
    _log_to(tell, level)
    tell(Ready())

    def finish(task: Task) -> Task:
        tell(Finished(task))
        return task

    def fail(error: Exception) -> None:
        if not isinstance(error, UpscalerError):
            log.debug("traceback:", exc_info=error)
            error = EngineError(describe(error, "a worker"))
        tell(Failed(error))
        if isinstance(error, DeviceLost):
            time.sleep(LAST_WORDS)
            os._exit(1)

    with suppress(Exception):  # Failed has told of it
        for _ in stage_queues.run(stages, tasks, finish, fail):
            pass


class _TellingHandler(logging.Handler):
    """A handler that sends records to the job, each as it would be printed."""

    def __init__(self, tell: Callable[[Message], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(LogRecord(record.name, record.levelno, self.format(record)))


def _log_to(tell: Callable[[Message], None], level: int) -> None:
    logging.getLogger().handlers[:] = [_TellingHandler(tell)]
    logging.getLogger("upscaler").setLevel(level)
    logging.captureWarnings(True)
