"""Many files to many outcomes: one bad picture is one reported failure, the others are done.

Over 300 lines, because the stages of a picture belong together. Which files, and what their results are called, is
`output`'s; what was done by an earlier run, `manifest`'s.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import codecs
from ..codecs import Output
from ..engines import Engine
from ..errors import ModelError, OutputError, PictureError, PlanError, UpscalerError
from ..picture import Picture
from ..pipeline import Estimate, Reading, Upscaler
from ..target import Target
from ..tiling import Size
from . import line
from .manifest import Manifest, Row, stamp
from .outcome import Choice, Outcome, describe
from .output import Job, collect, folder_for

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger("upscaler")

Progress = Callable[[Path, int, int], None]
"""Called as tiles are done: the source, how many, of how many in all."""


OVERHEAD = 4 * 2**20
"""Bytes that a waiting picture counts for beyond its pixels, or thousands of tiny ones would wait."""


@dataclass(frozen=True, slots=True)
class _Work:
    """One picture on its way through the line."""

    job: Job
    seconds: float = 0.0
    row: Row | None = None
    """What the manifest shall hold of it."""
    estimate: Estimate | None = None
    picture: Picture | None = None
    """The source, then the result."""
    departure: float | None = None
    outcome: Outcome | None = None


def run(
    upscaler: Upscaler,
    jobs: Iterable[Job],
    target: Target,
    *,
    folder: Path | None = None,
    choice: Choice | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
    **reading: Unpack[Reading],
) -> Generator[Outcome]:
    """Makes the pictures: one is read and others are written while one is computed. `reading`: as of `codecs.decode`.

    With `folder`, the output folder, a manifest is kept there: what is done already, from the same input with the same
    settings, is not done again, nor is what failed for the input's own fault, unless `choice` says so. A `dry_run`
    computes and writes nothing.

    Failures are outcomes, not exceptions. Raises ModelError and PlanError all the same when no picture could be made:
    it is the model, the device, the tile or the scale, and the rest would fail the same way; and OutputError when the
    disk is full, or the manifest cannot be kept.
    """
    manifest = None if folder is None or dry_run else Manifest(folder)
    settings = {} if manifest is None else {**upscaler.settings, "target": asdict(target), **_kept(reading)}
    maker = _Maker(upscaler, target, reading, settings, manifest, choice or Choice(), progress)
    try:
        if dry_run:
            yield from (_outcome(maker.looked_at(_Work(job))) for job in jobs)
            return
        stages = line.Stages(maker.read, maker.compute, maker.write, _alike)
        works = line.run((_Work(job) for job in jobs), stages, lambda work: work.outcome is not None, _bytes)
        with closing(works):
            for work in works:
                yield _outcome(work)
    finally:
        if manifest is not None:
            manifest.close()


def run_folder(
    upscaler: Upscaler,
    source: Path,
    output: Path,
    *,
    scale: float | None = None,
    target: Target | None = None,
    writing: Output | None = None,
    choice: Choice | None = None,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> Iterator[Outcome]:
    """Every picture below a folder, into another. `writing` says how; its path is not used. Raises as `run`, and
    PlanError when there is nothing to do."""
    if not source.is_dir():
        raise PlanError(f"{source}: is not a folder. For one picture, call the Upscaler.")
    found = collect([str(source)], f"{output}{os.sep}", writing or Output(output), "")
    yield from run(
        upscaler,
        found.jobs,
        target or Target(scale=scale),
        folder=found.folder,
        choice=choice,
        progress=progress,
        **reading,
    )


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


@dataclass(frozen=True, slots=True)
class _Maker:
    """The stages of one run. Each takes a work and gives it on further done, or with its outcome."""

    upscaler: Upscaler
    target: Target
    reading: Reading
    settings: dict[str, Any]
    """What results depend on, the way of writing left out."""
    manifest: Manifest | None
    choice: Choice
    progress: Progress | None

    def read(self, work: _Work) -> _Work:
        return self._guarded(self._read, work)

    def compute(self, works: list[_Work]) -> Iterator[_Work]:
        """One, or several that are alike."""
        if works[0].estimate is None or works[0].estimate.alike is None:
            yield from (self._guarded(self._compute, work) for work in works)
            return
        start = time.perf_counter()
        pictures = [work.picture for work in works if work.picture is not None]
        estimates = [work.estimate for work in works if work.estimate is not None]
        own = self.upscaler.ahead(pictures, estimates)
        share = (time.perf_counter() - start) / len(works)
        for work, engine in zip(works, own, strict=True):
            yield self._guarded(partial(self._compute, engine=engine), replace(work, seconds=work.seconds + share))

    def write(self, work: _Work) -> _Work:
        return self._guarded(self._write, work)

    def looked_at(self, work: _Work) -> _Work:
        """As far as a dry run goes."""
        work = self.read(work)
        if work.outcome is not None or work.estimate is None:
            return work
        return _done(replace(work, picture=None), None)

    def _read(self, work: _Work) -> _Work:
        job = work.job
        if job.problem is not None:
            raise PictureError(job.problem)
        row = None if self.manifest is None else self.manifest.row(job.output.path)
        replaced = ""
        if row is not None and self.manifest is not None and os.path.isfile(job.source):
            if row.settings == self._settings(job) and not self.choice.force and self.manifest.is_same(row, job.source):
                if self.manifest.is_done(row, job.output.path):
                    return replace(work, outcome=_before(job, row))
                if row.outcome == "failed" and not self.choice.retry_failed:
                    raise PictureError(row.error)
            replaced = self.manifest.own_hash(row, job.output.path)
        if replaced:
            job = replace(job, output=replace(job.output, overwrite=True))
        place = folder_for(job.output.path)
        codecs.check(job.output, Size(1, 1))  # that it exists already is worth knowing before it is read
        row = self._begun(job, replaced) if self.manifest is not None and os.path.isfile(job.source) else None
        work = replace(work, job=job, row=row)
        reading: Reading = {**self.reading, "workspace": self.reading.get("workspace") or place}
        try:
            picture = read(job.source, **reading)
            if reason := self.choice.against(picture.size):
                return _skipped(work, reason)
            estimate = prepare(self.upscaler, picture, job.output, self.target)
        except PictureError as error:
            if row is not None and self.manifest is not None:
                self.manifest.note_failure(job.output.path, replace(row, error=_sentence(error, job)))
            raise
        log.info("%s", describe(estimate, str(job.source), str(job.output.path)))
        return replace(work, estimate=estimate, picture=picture)

    def _begun(self, job: Job, replaced: str) -> Row:
        seen = stamp(job.source)
        return Row(
            output="",
            source=str(job.source),
            settings=self._settings(job),
            outcome="placing",
            source_size=seen.size,
            source_mtime_ns=seen.mtime_ns,
            source_sha256=seen.sha256,
            replaced_sha256=replaced,
        )

    def _settings(self, job: Job) -> str:
        output = job.output
        writing = {
            "format": output.resolved().name,
            "quality": output.quality,
            "lossless": output.lossless,
            "compression": output.compression,
            "strip": output.strip,
        }
        return json.dumps({**self.settings, **writing}, sort_keys=True)

    def _compute(self, work: _Work, engine: Engine | None = None) -> _Work:
        assert work.picture is not None
        assert work.estimate is not None
        source, progress = work.job.source, self.progress
        workspace = self.reading.get("workspace") or folder_for(work.job.output.path)
        result = self.upscaler.make(
            work.picture,
            work.estimate,
            engine=engine,
            progress=None if progress is None else lambda done, total: progress(source, done, total),
            workspace=workspace,
        )
        return replace(work, picture=result, departure=result.departure)

    def _write(self, work: _Work) -> _Work:
        assert work.picture is not None
        output, size = work.job.output, work.picture.size
        if self.manifest is None or work.row is None:
            codecs.encode(work.picture, output)
        else:
            part = codecs.encode_part(work.picture, output, self.manifest.parts)
            row = replace(work.row, width=size.width, height=size.height, seconds=round(work.seconds, 3))
            self.manifest.place(part, output, row)
        return replace(work, picture=None)

    def _guarded(self, stage: Callable[[_Work], _Work], work: _Work) -> _Work:
        """A stage, its time added; what it raises for this picture alone is an outcome."""
        start = time.perf_counter()
        error = None
        try:
            work = stage(work)
        except (ModelError, PlanError):
            raise
        except Exception as problem:
            if _is_full(problem):
                raise OutputError(
                    f"{work.job.output.path}: the disk is full. Make room, and run the same command again to go on."
                ) from problem
            error = _sentence(problem, work.job)
        work = replace(work, seconds=work.seconds + time.perf_counter() - start)
        return _done(work, error) if error is not None or _is_written(work) else work


def _done(work: _Work, error: str | None) -> _Work:
    estimate = None if error else work.estimate
    size = None if estimate is None else estimate.result
    departure = None if error else work.departure
    outcome = Outcome(work.job.source, work.job.output.path, error, size, work.seconds, departure, estimate=estimate)
    return replace(work, picture=None, outcome=outcome)


def _alike(work: _Work) -> tuple[Hashable, int]:
    return (None, 1) if work.estimate is None else (work.estimate.alike, work.estimate.together)


def _is_written(work: _Work) -> bool:
    return work.outcome is None and work.estimate is not None and work.picture is None


def _skipped(work: _Work, reason: str) -> _Work:
    job = work.job
    return replace(work, outcome=Outcome(job.source, job.output.path, None, None, work.seconds, skipped=reason))


def _before(job: Job, row: Row) -> Outcome:
    return Outcome(job.source, job.output.path, None, Size(row.width, row.height), row.seconds, was_done=True)


def _outcome(work: _Work) -> Outcome:
    assert work.outcome is not None
    return work.outcome


def _bytes(work: _Work) -> int:
    return OVERHEAD + (0 if work.picture is None else work.picture.pixels.nbytes)


def _kept(reading: Reading) -> dict[str, object]:
    """What of the ways of reading changes a result."""
    return {"accept_damaged": bool(reading.get("accept_damaged", False))}


def _is_full(problem: BaseException) -> bool:
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        cause = cause.__cause__
    return isinstance(problem, OutputError) and "No space left" in str(problem)


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
