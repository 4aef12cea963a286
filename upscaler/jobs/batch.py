"""Many files to many outcomes: one bad picture is one reported failure, the others are made.

`inputs.discover` finds the files and names their results; `tracker` knows what an earlier run has made; `stages` do
the work on one picture; `workers.dispatch` gives work to other processes and machines.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..inputs.discover import Job
from ..pipeline import Pipeline, Reading
from ..target import Target
from . import stage_queues
from .manifest import Manifest
from .outcome import Outcome, SelectionRules
from .stages import FileStages, ProgressFactory, Stages
from .tracker import JobTracker
from .workers import dispatch
from .workers.messages import WorkerOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack


def run(
    pipeline: Pipeline,
    jobs: Iterable[Job[Path]],
    target: Target,
    *,
    folder: Path | None = None,
    rules: SelectionRules | None = None,
    workers: WorkerOptions | None = None,
    progress: ProgressFactory | None = None,
    dry_run: bool = False,
    **reading: Unpack[Reading],
) -> Generator[Outcome]:
    """Enlarges pictures and yields their outcomes: one is read and others are written while one is computed.

    With `folder`, the output folder, a manifest is kept there: results of the same input and settings are not made
    again, nor are inputs tried again that failed by their own fault, unless `rules` say so. With `workers`, others do
    the work without progress within pictures. A `dry_run` only estimates. `reading`: see `codecs.decode`.

    Failures are outcomes, not exceptions. Raises ModelError or PlanError when all pictures would fail for the same
    reason: the model, the device, the tile or the scale; DeviceLost when the device has failed for good, or EngineError
    when there are no workers left; and OutputError when the disk is full, or the manifest cannot be kept.
    """
    rules = rules or SelectionRules()
    with ExitStack() as stack:
        manifest = None
        settings: dict[str, Any] = {}
        if folder is not None and not dry_run:
            manifest = stack.enter_context(closing(Manifest(folder)))
            accept_damaged = bool(reading.get("accept_damaged", False))
            settings = {**pipeline.settings, "target": asdict(target), "accept_damaged": accept_damaged}
            if reading.get("untrusted"):
                settings["untrusted"] = True
        tracker = JobTracker(manifest, lambda _: settings, rules)
        stages = FileStages(
            pipeline=pipeline,
            target=target,
            parts=None if manifest is None else manifest.parts,
            workspace=reading.get("workspace"),
            progress=progress,
            reading=reading,
            rules=rules,
        )
        if dry_run:
            stages = stages if workers is None else stages.on(workers.first)
            yield from (tracker.finish(stages.guard(stages.read, tracker.start(job))).outcome() for job in jobs)
        else:
            yield from run_stages(stages, tracker, jobs, workers)


def run_stages(
    stages: Stages, tracker: JobTracker, jobs: Iterable[Job[Any]], workers: WorkerOptions | None
) -> Generator[Outcome]:
    """Takes all jobs through the stages, in this process or in those of the workers. Raises as `run`."""
    if workers is not None:
        yield from dispatch.run(workers, tracker, stages, jobs)
        return
    with closing(stage_queues.run(stages, map(tracker.start, jobs), tracker.finish)) as tasks:
        for task in tasks:
            yield task.outcome()
