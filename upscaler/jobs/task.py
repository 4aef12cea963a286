"""A picture on its way through the stages of a job, and the sentence that says why it failed."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..engines import EngineInfo
from ..errors import DISK_FULL, OutputError, UpscalerError, describe, lacks_room
from ..inputs.discover import Job
from ..picture import Picture
from ..pipeline import Estimate
from ..recipe import Recipe
from ..tiling import Size
from .frames import Spool
from .manifest import Stamp
from .outcome import Outcome

log = logging.getLogger("upscaler")

OVERHEAD = 4 * 2**20
"""Bytes that a waiting picture counts for beyond its pixels, or thousands of tiny ones would wait."""


@dataclass(frozen=True, slots=True)
class Part:
    """A finished file under a temporary name."""

    file: Path
    stamp: Stamp
    output: Path
    """The name that it gets."""
    size: Size


@dataclass(frozen=True, slots=True)
class Task:
    """A picture that is to be made, and what the stages have found and made so far. Can be sent to other processes."""

    job: Job[Any]
    settings: str = ""
    """Everything that the result depends on beside the source's file, as the manifest compares it."""
    source_bytes: int = 0
    """The size of the source's file; 0 if it is not known."""
    number: int = 0
    """The task's number among those given to workers."""
    seconds: float = 0.0
    """The time that the stages took."""
    stamp: Stamp | None = None
    """The source's file as it was when it was read; None if there is no file, or no manifest to note it in."""
    estimate: Estimate | None = None
    picture: Picture | None = None
    """The source, then the result."""
    recipe: Recipe | None = None
    """The recipe of a generated picture."""
    size: Size | None = None
    """The size of the result."""
    lr_rmse: float | None = None
    faces: tuple[int, int] | None = None
    frames: int = 0
    """The number of frames or pages of the source, if all are made; 0 if it is a single picture."""
    spool: Spool | None = None
    """Where finished frames are kept."""
    parts: tuple[Part, ...] = ()
    is_made: bool = False
    """Whether everything is written."""
    error: str | None = None
    """One sentence that says why the picture cannot be made."""
    is_own_fault: bool = False
    """Whether the error comes from the source as it is, and would come again."""
    skipped: str | None = None
    """Why the source is left out."""
    was_done: bool = False
    """Whether an earlier run has made the result."""
    warnings: tuple[str, ...] = ()
    """What was said of it so far."""

    @property
    def is_over(self) -> bool:
        """Whether no stage has anything left to do."""
        return self.is_made or self.was_done or self.error is not None or self.skipped is not None

    @property
    def batch_key(self) -> tuple[Hashable, int]:
        """A key that is equal for tasks that may be computed together, and the most of them that may."""
        return (None, 1) if self.estimate is None or self.frames else (self.estimate.batch_key, self.estimate.max_batch)

    @property
    def uses_gpu(self) -> bool:
        """Whether something other than the CPU computes the picture."""
        return self.estimate is not None and self.estimate.engine.device != "cpu"

    @property
    def engine(self) -> EngineInfo | None:
        """The engine that computes the picture; None if none does, or it is not known yet."""
        return self.estimate.engine if self.estimate is not None and self.estimate.plans else None

    @property
    def bytes(self) -> int:
        """The memory that the task takes while it waits."""
        return OVERHEAD + (0 if self.picture is None else self.picture.pixels.nbytes)

    def end(self, **changes: Any) -> Task:
        """Returns the task as it is when it is over, without its pixels."""
        return replace(self, picture=None, recipe=None, **changes)

    def fail(self, problem: Exception, *, is_own_fault: bool = False) -> Task:
        """Returns the task as failed: its error is a sentence that names its source or its output.

        Raises OutputError when the disk is full, since that fails the rest, too.
        """
        source, output = self.job.source, str(self.job.output)
        if lacks_room(problem):
            raise OutputError(f"{output}: {DISK_FULL}") from problem
        if not isinstance(problem, UpscalerError | OSError | MemoryError):
            log.debug("%s:", source, exc_info=problem)
        error = describe(problem, output if str(problem).startswith(output) else str(source))
        return self.end(error=error, is_own_fault=is_own_fault, size=None, lr_rmse=None, estimate=None)

    def outcome(self) -> Outcome:
        """Returns the outcome of the task."""
        return Outcome(
            source=self.job.source,
            output=self.job.output,
            error=self.error,
            size=self.size,
            seconds=self.seconds,
            lr_rmse=self.lr_rmse,
            faces=self.faces,
            denoise=self.estimate.denoise if self.is_made and self.estimate else None,
            device=self.engine.device if self.is_made and self.engine else None,
            precision=self.engine.precision if self.is_made and self.engine else None,
            was_done=self.was_done,
            skipped=self.skipped,
            frames=self.frames or None,
            warnings=self.warnings,
            estimate=self.estimate,
        )
