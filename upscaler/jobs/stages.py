"""The stages that make one picture, in this process or in a worker's: read, compute, write.

`inputs.discover` chooses a result's name; `tracker` decides whether to make it, and renames the finished file.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import codecs, notices, recipe
from ..catalog import Model
from ..codecs import EncodeOptions, Frames
from ..errors import DeviceLost, ModelError, PictureError, PlanError
from ..files import sha256
from ..inputs import storage
from ..inputs.discover import folder_for
from ..inputs.storage import FileStat, Remote
from ..picture import Picture
from ..pipeline import Estimate, Pipeline, Reading
from ..progress import ProgressCallback
from ..target import Target
from ..tiling import Size, Tile
from .frames import Spool, join_frames, make_frames
from .manifest import Stamp, take_stamp
from .outcome import SelectionRules, describe_estimate
from .task import Part, Task

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

log = logging.getLogger("upscaler")

ProgressFactory: TypeAlias = "Callable[[str], ProgressCallback]"
"""Called with a picture's name when its computation begins; what it returns counts tiles, or steps."""


@dataclass(frozen=True, kw_only=True)
class Stages(ABC):
    """The work on every picture of a job. Each stage returns the task with what it has found or made.

    An error that concerns one picture alone ends its task. Errors that all others would have, too, are raised:
    ModelError, PlanError, DeviceLost, and OutputError when the disk is full. Stages can be sent to other processes.
    """

    pipeline: Pipeline | None
    """The pipeline that enlarges; None leaves pictures as they are."""
    target: Target
    parts: Path | None
    """A folder for results that do not have their names yet; None: they are written under their names, unhashed."""
    workspace: Path | None = None
    progress: ProgressFactory | None = None

    def read(self, task: Task) -> Task:
        """Reads the source. May raise anything, so it is called through `guard`."""
        return task

    @abstractmethod
    def compute(self, tasks: list[Task]) -> Iterator[Task]:
        """Makes the result of one task, or of several with the same `batch_key`; may keep them back until `flush`."""

    def flush(self) -> Iterator[Task]:
        """Makes the results of the tasks that `compute` has kept back."""
        return iter(())

    def write(self, task: Task) -> Task:
        """Writes the result. May raise anything, so it is called through `guard`."""
        assert task.picture is not None
        picture = task.picture if task.recipe is None else recipe.embed(task.picture, task.recipe)
        parts = (*task.parts, *self.save(picture, task.job.output, task.job.options))
        faces = None
        if picture.faces is not None:
            faces = len(picture.faces), sum(face.left_alone is None for face in picture.faces)
        return task.end(is_made=True, parts=parts, size=picture.size, lr_rmse=picture.lr_rmse, faces=faces)

    def on(self, device: str | None, model: Model | None = None) -> Self:
        """Returns the same stages for another device, nothing loaded; `model` is the same model in another file."""
        return replace(self, pipeline=None if self.pipeline is None else self.pipeline.on(device, model))

    def save(self, picture: Picture, output: Path, options: EncodeOptions) -> tuple[Part, ...]:
        """Writes a part and returns it; without a folder for parts writes the output itself. Raises OutputError."""
        if self.parts is None:
            codecs.encode(picture, output, options)
            return ()
        encode = partial(codecs.encode_part, picture, output, self.encode_options(options))
        return self.save_part(encode, output, picture.size, options.overwrite)

    def save_part(self, write: Callable[[Path], Path], output: Path, size: Size, overwrite: bool) -> tuple[Part, ...]:
        """Has `write` make a file under a temporary name in the folder that it is given, and returns it as a part;
        without a folder for parts gives it its name. Raises OutputError."""
        if self.parts is None:
            codecs.place(write(output.parent), output, overwrite)
            return ()
        if not isinstance(self.parts, Remote):
            file = write(self.parts)
            return (Part(file, take_stamp(file), output, size),)
        with tempfile.TemporaryDirectory(prefix="upscaler-") as folder:
            file = write(Path(folder))
            storage.upload(file, self.parts / file.name)
            return (Part(self.parts / file.name, take_stamp(file), output, size),)

    def encode_options(self, options: EncodeOptions) -> EncodeOptions:
        """Returns the options for a part, which may always be written; the tracker checks what its output replaces."""
        return options if self.parts is None else replace(options, overwrite=True)

    def enlarge(self, task: Task, tiles: Sequence[Tile] = ()) -> Task:
        """Runs the pipeline as `task.estimate` says."""
        assert self.pipeline is not None
        assert task.picture is not None
        result = self.pipeline.run(
            task.picture,
            estimate=task.estimate,
            tiles=tiles,
            progress=self.progress_of(task),
            workspace=self.workspace_of(task),
        )
        return replace(task, picture=result)

    @property
    def needs_device(self) -> bool:
        """Whether torch computes something."""
        return True

    def workspace_of(self, task: Task) -> Path | None:
        """Returns the folder for a large picture while it is computed: the output's, or None if that is at a URL."""
        output = task.job.output
        return self.workspace or (None if isinstance(output, Remote) else folder_for(output))

    def progress_of(self, task: Task) -> ProgressCallback | None:
        """Returns the callback for one picture, or None if no progress is reported."""
        source, output = task.job.source, task.job.output
        return None if self.progress is None else self.progress(str(source if isinstance(source, Path) else output))

    def guard(self, stage: Callable[[Task], Task], task: Task) -> Task:
        """Calls a stage, adds its time and warnings to the task, and ends it by an error of this picture alone."""
        if task.is_over:
            return task
        start = time.perf_counter()
        with notices.collect() as warnings:
            try:
                task = stage(task)
            except Exception as problem:
                if self.is_fatal(problem, task):
                    raise
                task = task.fail(problem)
        seconds = task.seconds + time.perf_counter() - start
        return replace(task, seconds=seconds, warnings=(*task.warnings, *warnings))

    def is_fatal(self, problem: Exception, task: Task) -> bool:
        """Returns whether other pictures would fail the same way."""
        return isinstance(problem, DeviceLost | ModelError | PlanError)


@dataclass(frozen=True, kw_only=True)
class FileStages(Stages):
    """The stages of a job whose sources are files."""

    pipeline: Pipeline
    reading: Reading
    rules: SelectionRules

    @property
    def needs_device(self) -> bool:
        return self.pipeline.model.facts.loader is not None

    def compute(self, tasks: list[Task]) -> Iterator[Task]:
        if tasks[0].batch_key[0] is None:
            yield from (self.guard(self.enlarge, task) for task in tasks)
            return
        start = time.perf_counter()
        pictures = [task.picture for task in tasks if task.picture is not None]
        estimates = [task.estimate for task in tasks if task.estimate is not None]
        computed = self.pipeline.compute_tiles(pictures, estimates)
        share = (time.perf_counter() - start) / len(tasks)
        for task, tiles in zip(tasks, computed, strict=True):
            yield self.guard(partial(self.enlarge, tiles=tiles), replace(task, seconds=task.seconds + share))

    def read(self, task: Task) -> Task:
        job = task.job
        reading: Reading = {**self.reading, "workspace": self.workspace_of(task)}
        try:
            with storage.local_copy(job.source) as file:
                if file != job.source:
                    reading["name"] = str(job.source)
                if self.parts is not None and (stat := storage.stat(job.source)) is not None:
                    with suppress(OSError):  # decoding will report it
                        task = replace(task, stamp=Stamp(stat, sha256(file)))
                with self._open_frames(task, file) as frames:
                    if frames is None:
                        picture = read(file, **reading)
                        job.options.check_single(job.output, str(job.source))
                    else:
                        picture = frames.read(0)
                        frames.check(job.options.format_for(job.output), job.options, job.output)
                        stamp = task.stamp or Stamp(FileStat(-1, 0), sha256(file))
                        spool = Spool.beside(job.output, stamp.sha256, self._settings(task))
                        task = replace(task, frames=frames.count, spool=spool)
            if reason := self.rules.reason_to_skip(picture.size):
                return task.end(skipped=reason)
            estimate = prepare(self.pipeline, picture, self.target)
            codecs.check(job.output, self.encode_options(job.options), estimate.result)
        except PictureError as error:
            return task.fail(error, is_own_fault=True)
        log.info("%s", describe_estimate(estimate, str(job.source), str(job.output), task.frames))
        return replace(task, estimate=estimate, picture=None if task.frames else picture, size=estimate.result)

    def enlarge(self, task: Task, tiles: Sequence[Tile] = ()) -> Task:
        return Stages.enlarge(self, task, tiles) if task.spool is None else self._enlarge_frames(task, task.spool)

    def write(self, task: Task) -> Task:
        if task.spool is None:
            return Stages.write(self, task)
        output, options = task.job.output, task.job.options
        with storage.local_copy(task.job.source) as file, self._open_frames(task, file) as frames:
            if frames is None or frames.count != task.frames:
                raise PictureError(f"{task.job.source}: it has changed while it was enlarged.")
            join = partial(join_frames, frames, task.spool, self.encode_options(options), output)
            parts = self.save_part(join, output, task.size or Size(1, 1), options.overwrite)
        task.spool.remove()
        return task.end(is_made=True, parts=(*task.parts, *parts))

    def _enlarge_frames(self, task: Task, spool: Spool) -> Task:
        """Enlarges every frame into the task's spool. Frames that are done stay there if that fails, unless the source
        is at fault."""
        assert task.estimate is not None
        first: list[Estimate | None] = [task.estimate]
        steps = max(sum(plan.count for plan in task.estimate.plans), 1)

        def run(picture: Picture, progress: ProgressCallback | None) -> Picture:
            estimate = first.pop() if first else prepare(self.pipeline, picture, self.target)
            workspace = self.workspace_of(task)
            return self.pipeline.run(picture, self.target, estimate=estimate, progress=progress, workspace=workspace)

        with storage.local_copy(task.job.source) as file, self._open_frames(task, file) as frames:
            if frames is None or frames.count != task.frames:
                raise PictureError(f"{task.job.source}: it has changed while it was enlarged.")
            output, progress = task.job.output, self.progress_of(task)
            try:
                lr_rmse = make_frames(frames, spool, task.job.options, output, run, progress, steps)
            except PictureError as error:
                spool.remove()
                return task.fail(error, is_own_fault=True)
        return replace(task, lr_rmse=lr_rmse)

    def _open_frames(self, task: Task, file: Path) -> AbstractContextManager[Frames | None]:
        """Opens the frames of a source, of which `file` is a local copy; None if one picture is to be made of it."""
        reading: Reading = {**self.reading, "workspace": self.workspace_of(task), "name": str(task.job.source)}
        return codecs.open_frames(file, all_frames=task.job.options.all_frames, **reading)

    def _settings(self, task: Task) -> dict[str, Any]:
        """Returns everything that frames depend on beside their file."""
        accept_damaged = bool(self.reading.get("accept_damaged", False))
        own = {**self.pipeline.settings, "target": asdict(self.target), "accept_damaged": accept_damaged}
        return {**own, **task.job.options.settings(task.job.output)}


def read(source: Path, **reading: Unpack[Reading]) -> Picture:
    """Decodes a file. Raises PictureError, also for pipes and devices, which can be read only once."""
    if os.path.exists(source) and not os.path.isfile(source) and not os.path.isdir(source):
        raise PictureError(f"{source}: is a pipe or a device, not a file. Write - and feed it to standard input.")
    return codecs.decode(source, **reading)


def prepare(pipeline: Pipeline, picture: Picture, target: Target) -> Estimate:
    """Returns the estimate for a picture.

    Raises PictureError when this picture cannot become as large as is asked, or has no such part; ModelError and
    PlanError when none can.
    """
    try:
        return pipeline.estimate(picture, target)
    except PlanError as error:
        if target.is_scale and target.crop is None:
            raise
        # raises, too, unless the size or the part is what is wrong
        pipeline.estimate(picture, Target(scale=target.scale))
        raise PictureError(f"{picture.name}: {error}") from error
