"""Many files to many outcomes: one bad picture is one reported failure, the others are done."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import codecs
from ..codecs import Output
from ..errors import PlanError, UpscalerError
from ..pipeline import Progress, Upscaler
from ..target import Target
from ..tiling import Size
from .output import Job, collect

log = logging.getLogger("upscaler")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one picture."""

    source: Path
    output: Path
    error: str | None
    """One sentence; None: the output is complete."""
    size: Size | None
    """Of the result."""
    seconds: float


def run(
    upscaler: Upscaler, jobs: Iterable[Job], target: Target, *, progress: Progress | None = None, **reading: Any
) -> Iterator[Outcome]:
    """Makes one picture after the other. `reading`: as of `codecs.decode`. Failures are outcomes, not exceptions."""
    for job in jobs:
        start = time.perf_counter()
        size, error = None, None
        try:
            size = _make(upscaler, job, target, progress, reading)
        except UpscalerError as problem:
            error = str(problem)
        except Exception as problem:
            log.debug("%s", job.source, exc_info=True)
            error = f"{job.source}: unexpected {type(problem).__name__} ({problem}). Please report it."
        yield Outcome(job.source, job.output.path, error, size, time.perf_counter() - start)


def run_folder(
    upscaler: Upscaler,
    source: Path,
    output: Path,
    *,
    scale: float | None = None,
    target: Target | None = None,
    writing: Output | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Every picture below a folder, into another. `writing` says how; its path is not used. Raises PlanError."""
    if not source.is_dir():
        raise PlanError(f"{source}: is not a folder.")
    jobs = collect([str(source)], output, writing or Output(output), "").jobs
    yield from run(upscaler, jobs, target or Target(scale=scale), progress=progress)


def _make(upscaler: Upscaler, job: Job, target: Target, progress: Progress | None, reading: dict[str, Any]) -> Size:
    workspace = reading.get("workspace") or _existing(job.output.path.parent)
    picture = codecs.decode(job.source, **{**reading, "workspace": workspace})
    codecs.check(job.output, upscaler.estimate(picture, target=target).result)
    result = upscaler(picture, target=target, progress=progress, workspace=workspace)
    codecs.encode(result, job.output)
    return result.size


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
