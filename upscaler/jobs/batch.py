"""Many files to many outcomes: one bad picture is one reported failure, the others are done.

Which files, and what their results are called, is `output`'s.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import codecs
from ..codecs import Output
from ..errors import ModelError, PictureError, PlanError, UpscalerError
from ..picture import Picture
from ..pipeline import Estimate, Progress, Reading, Upscaler
from ..target import Target
from ..tiling import Size
from .output import Job, collect, folder_for

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger("upscaler")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one picture."""

    source: Path
    output: Path
    error: str | None
    """One sentence that names a file; None: the output is complete."""
    estimate: Estimate | None
    """What was done, or in a dry run would be; None when it failed."""
    seconds: float

    @property
    def size(self) -> Size | None:
        """Of the result."""
        return None if self.estimate is None else self.estimate.result


def run(
    upscaler: Upscaler,
    jobs: Iterable[Job],
    target: Target,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
    **reading: Unpack[Reading],
) -> Iterator[Outcome]:
    """Makes one picture after the other; a `dry_run` stops before each is computed. `reading`: as of `codecs.decode`.

    Failures are outcomes, not exceptions. Raises ModelError and PlanError all the same when no picture could be made:
    it is the model, the device, the tile or the scale, and the rest would fail the same way.
    """
    for job in jobs:
        start = time.perf_counter()
        estimate, error = None, None
        try:
            estimate = _make(upscaler, job, target, progress, dry_run, reading)
        except (ModelError, PlanError):
            raise
        except Exception as problem:
            error = _sentence(problem, job)
        yield Outcome(job.source, job.output.path, error, estimate, time.perf_counter() - start)


def run_folder(
    upscaler: Upscaler,
    source: Path,
    output: Path,
    *,
    scale: float | None = None,
    target: Target | None = None,
    writing: Output | None = None,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> Iterator[Outcome]:
    """Every picture below a folder, into another. `writing` says how; its path is not used. Raises as `run`, and
    PlanError when there is nothing to do."""
    if not source.is_dir():
        raise PlanError(f"{source}: is not a folder. For one picture, call the Upscaler.")
    jobs = collect([str(source)], f"{output}{os.sep}", writing or Output(output), "").jobs
    yield from run(upscaler, jobs, target or Target(scale=scale), progress=progress, **reading)


def read(source: Path, **reading: Unpack[Reading]) -> Picture:
    """A picture from a file. Raises PictureError, also for pipes and devices: they can be read but once."""
    if os.path.exists(source) and not os.path.isfile(source) and not os.path.isdir(source):
        raise PictureError(f"{source}: is a pipe or a device, not a file. Write - and feed it to standard input.")
    return codecs.decode(source, **reading)


def prepare(upscaler: Upscaler, picture: Picture, output: Output, target: Target) -> Estimate:
    """What would be done with a picture, once all that can be known before it is computed has been checked.

    Raises ModelError and PlanError as `run`; PictureError when this picture cannot become as large as is asked;
    OutputError when its result could not be written.
    """
    try:
        estimate = upscaler.estimate(picture, target=target)
    except PlanError as error:
        if target.is_scale:
            raise
        upscaler.estimate(picture, scale=1)  # raises, too, unless the size is what is wrong
        raise PictureError(f"{picture.name}: {error}") from error
    codecs.check(output, estimate.result)
    return estimate


def describe(estimate: Estimate, source: str, output: str) -> str:
    """One line: sizes, model, device, precision, passes, tiles, memory."""
    info = estimate.engine
    sizes = f"{source} {estimate.source} -> {output} {estimate.result}"
    if not estimate.plans:
        return f"{sizes}: {'written as it is' if estimate.source == estimate.result else 'resized, without the model'}"
    grids = [
        f"{plan.count} {'tile' if plan.count == 1 else 'tiles'} of {plan.tile}"
        + (f", {plan.batch} at a time" if plan.batch > 1 else "")
        for plan in estimate.plans
    ]
    passes = "1 pass" if len(grids) == 1 else f"{len(grids)} passes"
    return (
        f"{sizes}: {info.name} on {info.device}, {info.precision}; {passes}: {', then '.join(grids)}; "
        f"at most {max(round(estimate.memory / 2**20), 1)} MiB for tiles"
    )


def _make(
    upscaler: Upscaler, job: Job, target: Target, progress: Progress | None, dry_run: bool, reading: Reading
) -> Estimate:
    if job.problem is not None:
        raise PictureError(job.problem)
    folder = folder_for(job.output.path)
    codecs.check(job.output, Size(1, 1))  # that it exists already is worth knowing before it is read
    reading = {**reading, "workspace": reading.get("workspace") or folder}
    picture = read(job.source, **reading)
    estimate = prepare(upscaler, picture, job.output, target)
    log.info("%s", describe(estimate, str(job.source), str(job.output.path)))
    if not dry_run:
        result = upscaler(picture, target=target, progress=progress, workspace=reading["workspace"])
        codecs.encode(result, job.output)
    return estimate


def _sentence(problem: Exception, job: Job) -> str:
    """An exception as one sentence that names the source or the output."""
    if isinstance(problem, UpscalerError):
        text = str(problem)
        return text if text.startswith((str(job.source), str(job.output.path))) else f"{job.source}: {text}"
    if isinstance(problem, MemoryError):
        return f"{job.source}: there is not enough memory. Close other programs, or use a smaller --tile."
    if isinstance(problem, OSError):
        return f"{problem.filename or job.source}: {problem.strerror or problem}."
    log.debug("%s:", job.source, exc_info=problem)
    return f"{job.source}: unexpected {type(problem).__name__} ({problem}). Please report it, with --verbose."
