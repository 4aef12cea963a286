"""Many files to many outcomes: one bad picture is one reported failure, the others are done.

`inputs.discover` finds the files and names their results; `tracker` knows what an earlier run has done; `stages` says
what is done with one picture; `workers.dispatch` gives work to other processes and machines.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..codecs import DEFAULT_OPTIONS, EncodeOptions
from ..errors import PlanError
from ..inputs.discover import Job, find_jobs
from ..inputs.storage import is_folder, parse_location
from ..pipeline import Pipeline, Reading
from ..target import Target
from . import pipelining
from .manifest import Manifest
from .outcome import Outcome, SelectionRules
from .stages import OVERHEAD, Progress, Report, Stages, Task, Work, prepare, read
from .tracker import JobTracker
from .workers import dispatch
from .workers.messages import WorkerOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["prepare", "read", "run", "run_folder"]


def run(
    pipeline: Pipeline,
    jobs: Iterable[Job],
    target: Target,
    *,
    folder: Path | None = None,
    choice: SelectionRules | None = None,
    workers: WorkerOptions | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
    **reading: Unpack[Reading],
) -> Generator[Outcome]:
    """Makes the pictures: one is read and others are written while one is computed. `reading`: as of `codecs.decode`.

    With `folder`, the output folder, a manifest is kept there: what is done already, from the same input with the same
    settings, is not done again, nor is what failed for the input's own fault, unless `choice` says so. With `workers`,
    others do the work, and there is no progress within pictures. A `dry_run` computes and writes nothing.

    Failures are outcomes, not exceptions. Raises ModelError and PlanError all the same when no picture could be made:
    it is the model, the device, the tile or the scale, and the rest would fail the same way; EngineError when there are
    no workers left; and OutputError when the disk is full, or the manifest cannot be kept.

    One parameter more than eight, for what a user may ask of a job.
    """
    choice = choice or SelectionRules()
    manifest = None if folder is None or dry_run else Manifest(folder)
    try:
        settings = {} if manifest is None else {**pipeline.settings, "target": asdict(target), **_kept(reading)}
        tracker = JobTracker(manifest, settings, choice)
        maker = Stages(pipeline, target, reading, choice, None if manifest is None else manifest.parts, progress)
        if dry_run:
            maker = maker if workers is None else replace(maker, pipeline=pipeline.on(workers.first))
            yield from (_looked_at(tracker, maker, job) for job in jobs)
            return
        outcomes = _in_line(tracker, maker, jobs) if workers is None else dispatch.run(workers, tracker, maker, jobs)
        with closing(outcomes):
            yield from outcomes
    finally:
        if manifest is not None:
            manifest.close()


def run_folder(
    pipeline: Pipeline,
    source: str | Path,
    output: str | Path,
    *,
    scale: float | None = None,
    target: Target | None = None,
    writing: EncodeOptions | None = None,
    devices: Sequence[str] = (),
    cluster: str | None = None,
    choice: SelectionRules | None = None,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> Iterator[Outcome]:
    """Every picture below a folder, into another; either may be at a URL. `writing` says how.
    `devices` and `cluster`: see `WorkerOptions`. Raises as `run`, and PlanError when there is nothing to do.

    More than eight parameters, for what a user may ask of a job.
    """
    if not is_folder(parse_location(source)):
        raise PlanError(f"{source}: is not a folder. For one picture, call the Upscaler.")
    found = find_jobs([str(source)], f"{output}{os.sep}", writing or DEFAULT_OPTIONS, "")
    yield from run(
        pipeline,
        found.jobs,
        target or Target(scale=scale),
        folder=found.folder,
        choice=choice,
        workers=WorkerOptions(tuple(devices), cluster) if devices or cluster else None,
        progress=progress,
        **reading,
    )


def _in_line(tracker: JobTracker, maker: Stages, jobs: Iterable[Job]) -> Generator[Outcome]:
    """In this process."""

    def settled(work: Work) -> Work | Outcome:
        return work if work.report is None else tracker.finish(work.task, work.report)

    stages: pipelining.StageFunctions[Work | Outcome] = pipelining.StageFunctions(
        read=lambda item: item if isinstance(item, Outcome) else settled(maker.read(item)),
        compute=lambda items: map(settled, maker.compute([item for item in items if isinstance(item, Work)])),
        write=lambda item: item if isinstance(item, Outcome) else settled(maker.write(item)),
        alike=lambda item: (None, 1) if isinstance(item, Outcome) else item.alike,
    )
    admitted = (Work(item) if isinstance(item, Task) else item for item in map(tracker.start, jobs))
    items = pipelining.run(admitted, stages, lambda item: isinstance(item, Outcome), _bytes)
    with closing(items):
        for item in items:
            assert isinstance(item, Outcome)
            yield item


def _looked_at(tracker: JobTracker, maker: Stages, job: Job) -> Outcome:
    """As far as a dry run goes."""
    item = tracker.start(job)
    if isinstance(item, Outcome):
        return item
    work = maker.read(Work(item))
    return tracker.finish(item, work.report or Report(estimate=work.estimate, seconds=work.seconds))


def _bytes(item: Work | Outcome) -> int:
    return OVERHEAD if isinstance(item, Outcome) else item.bytes


def _kept(reading: Reading) -> dict[str, object]:
    """What of the ways of reading changes a result."""
    return {"accept_damaged": bool(reading.get("accept_damaged", False))}
