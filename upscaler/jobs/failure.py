"""What failed a picture, as one sentence."""

from __future__ import annotations

import errno
import logging

from ..errors import OutputError, UpscalerError
from ..inputs.discover import Job

log = logging.getLogger("upscaler")


def sentence(problem: Exception, job: Job) -> str:
    """What failed a picture, as one sentence that names the source or the output.

    Raises OutputError when it is a full disk: that fails the rest, too.
    """
    if _is_full(problem):
        raise OutputError(
            f"{job.output}: the disk is full. Make room, and run the same command again to go on."
        ) from problem
    if isinstance(problem, UpscalerError):
        text = str(problem)
        return text if text.startswith((str(job.source), str(job.output))) else f"{job.source}: {text}"
    if isinstance(problem, MemoryError):
        return f"{job.source}: there is not enough memory. Close other programs, or use a smaller --tile."
    if isinstance(problem, OSError):
        return f"{problem.filename or job.source}: {problem.strerror or problem}."
    log.debug("%s:", job.source, exc_info=problem)
    return f"{job.source}: unexpected {type(problem).__name__} ({problem}). Please report it, with --verbose."


def _is_full(problem: BaseException) -> bool:
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        cause = cause.__cause__
    return isinstance(problem, OutputError) and "No space left" in str(problem)
