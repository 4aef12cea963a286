"""The work of a worker, wherever it is: pictures in, reports out.

How they come and go is for `processes` and `cluster`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from ...errors import EngineError, UpscalerError
from .. import pipelining
from ..stages import Stages, Task, Work
from .messages import Failed, Finished, LogRecord, Message, Ready

log = logging.getLogger("upscaler")


def serve(maker: Stages, tasks: Iterable[Task], level: int, tell: Callable[[Message], None]) -> None:
    """Makes pictures until there are no more tasks. `level`: from which on the package's own logging is told, too.

    `tell` is called from several threads. It is told of a picture by the stage that has done it, or that ends the job:
    the line gives one out when the next comes, and ends when there are no more, which may be asked for only then.
    """
    _log_to(tell, level)
    tell(Ready())

    @contextmanager
    def refusing() -> Iterator[None]:
        try:
            yield
        except Exception as error:
            tell(Failed(_passed_on(error)))
            raise

    def told(work: Work) -> Work:
        if work.report is not None:
            tell(Finished(work.task.number, work.report))
        return work

    def read(work: Work) -> Work:
        with refusing():
            return told(maker.read(work))

    def compute(works: list[Work]) -> Iterator[Work]:
        with refusing():
            yield from map(told, maker.compute(works))

    def write(work: Work) -> Work:
        with refusing():
            return told(maker.write(work))

    stages = pipelining.StageFunctions(read, compute, write, lambda work: work.alike)
    works = pipelining.run(map(Work, tasks), stages, lambda work: work.report is not None, lambda work: work.bytes)
    with suppress(Exception):  # it has been told
        for _ in works:
            pass


def _passed_on(error: Exception) -> UpscalerError:
    if isinstance(error, UpscalerError):
        return error
    log.debug("traceback:", exc_info=error)
    return EngineError(f"unexpected {type(error).__name__} ({error}) in a worker. Please report it, with --verbose.")


class _Telling(logging.Handler):
    """Passes records on, as they would be printed."""

    def __init__(self, tell: Callable[[Message], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(LogRecord(record.name, record.levelno, self.format(record)))


def _log_to(tell: Callable[[Message], None], level: int) -> None:
    logging.getLogger().handlers[:] = [_Telling(tell)]
    logging.getLogger("upscaler").setLevel(level)
    logging.captureWarnings(True)
