"""What is done with one picture, in this process or in a worker's: it is read, computed, written.

Whether it is to be made, and where what was written belongs, is `tracker`'s.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .. import codecs
from ..codecs import EncodeOptions
from ..errors import ModelError, PictureError, PlanError
from ..inputs import storage
from ..inputs.discover import Job, folder_for
from ..inputs.storage import Remote
from ..picture import Picture
from ..pipeline import Estimate, Pipeline, Reading
from ..target import Target
from ..tiling import Tile
from .failure import sentence
from .manifest import Stamp, stamp
from .outcome import SelectionRules, describe

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger("upscaler")

Progress = Callable[[Path, int, int], None]
"""Called as tiles are done: the source, how many, of how many in all."""

OVERHEAD = 4 * 2**20
"""Bytes that a waiting picture counts for beyond its pixels, or thousands of tiny ones would wait."""


@dataclass(frozen=True, slots=True)
class Task:
    """A picture that is to be made."""

    job: Job
    size: int = 0
    """Bytes of the source, if they are known."""
    replaced: str = ""
    """Hash of an earlier result, in whose place this one comes."""
    number: int = 0
    """By which a crew knows it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a picture: it was made, unless there is an error or it was skipped."""

    error: str | None = None
    is_own_fault: bool = False
    """The error comes from the source as it is, and would come again."""
    skipped: str | None = None
    estimate: Estimate | None = None
    lr_rmse: float | None = None
    source: Stamp | None = None
    """Of the source as it was when it was read."""
    part: Path | None = None
    """The result, complete, to be given its name; None: it has it."""
    made: Stamp | None = None
    """Of that."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """A picture on its way."""

    task: Task
    seconds: float = 0.0
    source: Stamp | None = None
    estimate: Estimate | None = None
    picture: Picture | None = None
    """The source, then the result."""
    report: Report | None = None
    """At the end of its way."""

    @property
    def alike(self) -> tuple[Hashable, int]:
        """See `line.Stages`."""
        return (None, 1) if self.estimate is None else (self.estimate.batch_key, self.estimate.max_batch)

    @property
    def bytes(self) -> int:
        """That it occupies while it waits."""
        return OVERHEAD + (0 if self.picture is None else self.picture.pixels.nbytes)


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of a job. Each gives a work on further done, or with its report. They raise ModelError, PlanError and,
    when the disk is full, OutputError: these would fail the rest, too. Can be sent to other processes."""

    pipeline: Pipeline
    target: Target
    reading: Reading
    choice: SelectionRules
    parts: Path | None
    """A folder for results that are not named yet; None: they are written under their names, and nothing is hashed."""
    progress: Progress | None = None

    def read(self, work: Work) -> Work:
        return self._guarded(self._read, work)

    def compute(self, works: list[Work]) -> Iterator[Work]:
        """One, or several that are alike."""
        if works[0].alike[0] is None:
            yield from (self._guarded(self._compute, work) for work in works)
            return
        start = time.perf_counter()
        pictures = [work.picture for work in works if work.picture is not None]
        estimates = [work.estimate for work in works if work.estimate is not None]
        tiles = self.pipeline.compute_tiles(pictures, estimates)
        share = (time.perf_counter() - start) / len(works)
        for work, tile in zip(works, tiles, strict=True):
            yield self._guarded(partial(self._compute, tile=tile), replace(work, seconds=work.seconds + share))

    def write(self, work: Work) -> Work:
        return self._guarded(self._write, work)

    def _read(self, work: Work) -> Work:
        job = work.task.job
        reading: Reading = {**self.reading, "workspace": self._workspace(job)}
        try:
            with storage.local_copy(job.source) as file:
                if file != job.source:
                    reading["name"] = str(job.source)
                if self.parts is not None:
                    work = replace(work, source=_stamp(job.source, file))
                picture = read(file, **reading)
            if reason := self.choice.against(picture.size):
                return replace(work, report=Report(skipped=reason))
            estimate = prepare(self.pipeline, picture, self.target)
            codecs.check(job.output, self._options(job), estimate.result)
        except PictureError as error:
            return replace(work, report=Report(sentence(error, job), is_own_fault=True, source=work.source))
        log.info("%s", describe(estimate, str(job.source), str(job.output)))
        return replace(work, estimate=estimate, picture=picture)

    def _compute(self, work: Work, tile: Tile | None = None) -> Work:
        assert work.picture is not None
        assert work.estimate is not None
        job, progress = work.task.job, self.progress
        result = self.pipeline.run(
            work.picture,
            estimate=work.estimate,
            tile=tile,
            progress=None if progress is None else lambda done, total: progress(job.source, done, total or 0),
            workspace=self._workspace(job),
        )
        return replace(work, picture=result)

    def _write(self, work: Work) -> Work:
        assert work.picture is not None
        job, picture = work.task.job, work.picture
        report = Report(estimate=work.estimate, lr_rmse=picture.lr_rmse, source=work.source)
        if self.parts is None:
            codecs.encode(picture, job.output, job.options)
        elif isinstance(self.parts, Remote):
            with tempfile.TemporaryDirectory(prefix="upscaler-") as folder:
                file = codecs.encode_part(picture, job.output, self._options(job), Path(folder))
                remote = self.parts / file.name
                storage.upload(file, remote)
                report = replace(report, part=remote, made=stamp(file))
        else:
            part = codecs.encode_part(picture, job.output, self._options(job), self.parts)
            report = replace(report, part=part, made=stamp(part))
        return replace(work, picture=None, report=report)

    def _options(self, job: Job) -> EncodeOptions:
        """Whether something may be replaced is for who gives the part its name; he has looked, and will look again."""
        return job.options if self.parts is None else replace(job.options, overwrite=True)

    def _workspace(self, job: Job) -> Path | None:
        given = self.reading.get("workspace")
        return given or (None if isinstance(job.output, Remote) else folder_for(job.output))

    def _guarded(self, stage: Callable[[Work], Work], work: Work) -> Work:
        """A stage, its time added; what it raises for this picture alone is a report."""
        start = time.perf_counter()
        try:
            work = stage(work)
        except (ModelError, PlanError):
            raise
        except Exception as problem:
            work = replace(work, picture=None, report=Report(sentence(problem, work.task.job)))
        work = replace(work, seconds=work.seconds + time.perf_counter() - start)
        return work if work.report is None else replace(work, report=replace(work.report, seconds=work.seconds))


def read(source: Path, **reading: Unpack[Reading]) -> Picture:
    """A picture from a file. Raises PictureError, also for pipes and devices: they can be read but once."""
    if os.path.exists(source) and not os.path.isfile(source) and not os.path.isdir(source):
        raise PictureError(f"{source}: is a pipe or a device, not a file. Write - and feed it to standard input.")
    return codecs.decode(source, **reading)


def prepare(pipeline: Pipeline, picture: Picture, target: Target) -> Estimate:
    """What would be done with a picture, once all that can be known before it is computed has been checked.

    Raises ModelError and PlanError as `Stages`; PictureError when this picture cannot become as large as is asked.
    """
    try:
        estimate = pipeline.estimate(picture, target)
    except PlanError as error:
        if target.is_scale:
            raise
        pipeline.estimate(picture, Target(scale=1))  # raises, too, unless the size is what is wrong
        raise PictureError(f"{picture.name}: {error}") from error
    return estimate


def _stamp(source: Path, file: Path) -> Stamp | None:
    """Of a source whose content is in `file`; None if it cannot be read, which is said by who reads it as a picture."""
    stat = storage.stat(source)
    try:
        return None if stat is None else Stamp(stat.size, stat.mtime_ns, stamp(file).sha256)
    except OSError:
        return None
