"""Decides which pictures of a job to make, renames finished files, and notes both in the manifest."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import codecs
from ..codecs import EncodeOptions
from ..errors import PictureError
from ..inputs import storage
from ..inputs.discover import Job, folder_for
from ..inputs.storage import FileStat, Remote
from ..tiling import Size
from .database import Row
from .manifest import Manifest, ManifestError, Stamp
from .outcome import SelectionRules
from .task import Task

log = logging.getLogger("upscaler")


@dataclass(frozen=True, slots=True)
class JobTracker:
    """Starts and finishes the tasks of a job; may be used from several threads.

    Without a manifest nothing is remembered. `start` and `finish` raise OutputError when the disk is full, or the
    manifest cannot be kept.
    """

    manifest: Manifest | None
    settings: Callable[[Job[Any]], dict[str, Any]]
    """Returns all that a job's result depends on beside its source's file and the way of writing, as JSON can hold it;
    called only with a manifest."""
    rules: SelectionRules
    outputs: Callable[[Job[Any]], Sequence[Path]] = lambda job: (job.output,)
    """All files that a job makes, its output first."""
    _kinds: set[str] = field(default_factory=set, init=False)
    """The kinds of device that made results of earlier runs; emptied when it was said that this run uses another."""

    def start(self, job: Job[Any]) -> Task:
        """Returns the task, which is over if there is nothing to do."""
        try:
            return self._start(job)
        except ManifestError:
            raise
        except Exception as problem:
            return Task(job).fail(problem)

    def finish(self, task: Task) -> Task:
        """Moves the results of a task to their outputs, and notes in the manifest what was made or failed."""
        try:
            if self.manifest is not None:
                self._note(self.manifest, task)
        except ManifestError:
            raise
        except Exception as problem:
            return task.fail(problem)
        return task

    def check(self, output: Path, options: EncodeOptions) -> None:
        """Raises OutputError if nothing can be written there, or if there is a file that no earlier run has made."""
        if not isinstance(output, Remote):
            folder_for(output)
        may_replace = options.overwrite or (self.manifest is not None and bool(self.manifest.own_hash(output)))
        codecs.check(output, replace(options, overwrite=may_replace), Size(1, 1))

    def _start(self, job: Job[Any]) -> Task:
        if job.problem is not None:
            raise PictureError(job.problem)
        stat = storage.stat(job.source) if isinstance(job.source, Path) else None
        settings = ""
        if self.manifest is not None:
            settings = json.dumps({**self.settings(job), **job.options.settings(job.output)}, sort_keys=True)
            if made := self._find_made(self.manifest, job, settings):
                return made
        for output in self.outputs(job):
            self.check(output, job.options)  # an output that exists is reported before the source is read
        return Task(job, settings, 0 if stat is None else stat.size)

    def _find_made(self, manifest: Manifest, job: Job[Any], settings: str) -> Task | None:
        """Returns the task as done by an earlier run, or None if it is to be done. Raises PictureError if it failed."""
        rows = {output: manifest.row(output) for output in self.outputs(job)}
        row = rows[job.output]
        if self.rules.force or row is None or row.settings != settings:
            return None
        if isinstance(job.source, Path) and not manifest.check_same(row, job.source):
            return None
        if all(
            each is not None and each.settings == settings and manifest.check_done(each, output)
            for output, each in rows.items()
        ):
            self._kinds.add(_kind(row.device))
            return Task(job, seconds=row.seconds, size=Size(row.width, row.height), was_done=True)
        if row.outcome == "failed" and not self.rules.retry_failed:
            raise PictureError(row.error)
        return None

    def _compare(self, kind: str) -> None:
        """Says, once, if earlier runs have made results of this job on another kind of device than this run does.

        Precisions are not compared: on one device they follow from the picture, too.
        """
        others = sorted(self._kinds - {kind, ""})
        if kind and others:
            self._kinds.clear()
            log.warning(
                "some pictures of this job were made on %s before, and others are made on %s now, which may differ by "
                "some levels. Pass `device` to go on as before, or `force` to make all again.",
                " and ".join(others),
                kind,
            )

    def _note(self, manifest: Manifest, task: Task) -> None:
        stamp = task.stamp or Stamp(FileStat(-1, 0), "")  # it could not be hashed, and will seem to have changed
        row = Row(
            source=str(task.job.source),
            settings=task.settings,
            source_size=stamp.stat.size,
            source_mtime_ns=stamp.stat.mtime_ns,
            source_ctime_ns=stamp.stat.ctime_ns,
            source_sha256=stamp.sha256,
            seconds=round(task.seconds, 3),
            error=task.error or "",
            device=task.engine.device if task.engine else "",
            precision=task.engine.precision if task.engine else "",
        )
        if task.parts:
            self._compare(_kind(row.device))
        if task.is_own_fault and task.stamp is not None:
            manifest.note_failure(task.job.output, row)
        for part in task.parts:
            replaced = manifest.own_hash(part.output)
            made = replace(row, width=part.size.width, height=part.size.height, replaced_sha256=replaced)
            may_replace = task.job.options.overwrite or bool(replaced)
            manifest.place(part.file, part.stamp, part.output, may_replace, made)


def _kind(device: str) -> str:
    """Returns the kind of a device: "cuda" of "cuda:1"."""
    return device.partition(":")[0]
