"""Decides which pictures of a job are to be made, gives results their names, and remembers both in the manifest."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import codecs
from ..codecs import EncodeOptions
from ..errors import PictureError
from ..inputs import storage
from ..inputs.discover import Job, folder_for
from ..inputs.storage import Remote
from ..tiling import Size
from .manifest import Manifest, Row, Stamp
from .outcome import Outcome, SelectionRules
from .task import Task, explain

UNKNOWN = Stamp(-1, 0, "")
"""The stamp of a source that could be decoded, but not hashed before: it will seem to have changed."""


class JobTracker:
    """Starts and finishes the tasks of a job; may be used from several threads.

    Without a manifest nothing is remembered. `start` and `finish` raise OutputError when the disk is full, or the
    manifest cannot be kept.
    """

    def __init__(
        self,
        manifest: Manifest | None,
        settings: Callable[[Job[Any]], dict[str, Any]],
        rules: SelectionRules,
        outputs: Callable[[Job[Any]], Sequence[Path]] = lambda job: (job.output,),
    ) -> None:
        """`settings`: what the result of a job depends on beside its source's file and the way of writing, as JSON can
        hold it; called only with a manifest. `outputs`: all files that a job makes, its output first."""
        self._manifest = manifest
        self._settings = settings
        self._rules = rules
        self._outputs = outputs

    def start(self, job: Job[Any]) -> Task | Outcome:
        """Returns the task, or the outcome if nothing has to be done."""
        try:
            return self._start(job)
        except Exception as problem:
            return Outcome(job.source, job.output, explain(problem, job), None, 0.0)

    def finish(self, task: Task) -> Outcome:
        """Gives the results of a task their names, and notes what became of it."""
        try:
            self._note(task)
        except Exception as problem:
            task = task.fail(problem)
        job = task.job
        if task.error is not None or task.skipped is not None:
            return Outcome(job.source, job.output, task.error, None, task.seconds, skipped=task.skipped)
        return Outcome(
            job.source, job.output, None, task.size, task.seconds, lr_rmse=task.lr_rmse, estimate=task.estimate
        )

    def check(self, output: Path, options: EncodeOptions) -> None:
        """Raises OutputError if nothing can be written there, or if there is a file that no earlier run has made."""
        if not isinstance(output, Remote):
            folder_for(output)
        may_replace = options.overwrite or bool(self._own_hash(output))
        codecs.check(output, replace(options, overwrite=may_replace), Size(1, 1))

    def _start(self, job: Job[Any]) -> Task | Outcome:
        if job.problem is not None:
            raise PictureError(job.problem)
        stat = storage.stat(job.source) if isinstance(job.source, Path) else None
        settings = ""
        if self._manifest is not None:
            own, written = self._settings(job), job.options.settings(job.output)
            settings = json.dumps({**own, **written}, sort_keys=True)
            if outcome := self._outcome_of_earlier_run(self._manifest, job, settings):
                return outcome
        for output in self._outputs(job):
            self.check(output, job.options)  # that it exists already is worth knowing before the source is read
        return Task(job, settings, 0 if stat is None else stat.size)

    def _outcome_of_earlier_run(self, manifest: Manifest, job: Job[Any], settings: str) -> Outcome | None:
        """The outcome that an earlier run has noted, if it still holds. Raises PictureError if it was a failure."""
        row, outputs = manifest.row(job.output), self._outputs(job)
        if self._rules.force or row is None or row.settings != settings:
            return None
        if isinstance(job.source, Path) and not manifest.is_same(row, job.source):
            return None
        if all(self._is_done(manifest, output, settings) for output in outputs):
            return Outcome(job.source, job.output, None, Size(row.width, row.height), row.seconds, was_done=True)
        if row.outcome == "failed" and not self._rules.retry_failed:
            raise PictureError(row.error)
        return None

    def _is_done(self, manifest: Manifest, output: Path, settings: str) -> bool:
        row = manifest.row(output)
        return row is not None and row.settings == settings and manifest.is_done(row, output)

    def _own_hash(self, output: Path) -> str:
        """The hash of the file at `output` if an earlier run has made it; else empty."""
        row = None if self._manifest is None else self._manifest.row(output)
        return "" if self._manifest is None or row is None else self._manifest.own_hash(row, output)

    def _note(self, task: Task) -> None:
        if self._manifest is None:
            return
        stamp = task.stamp or UNKNOWN
        row = Row(
            source=str(task.job.source),
            settings=task.settings,
            source_size=stamp.size,
            source_mtime_ns=stamp.mtime_ns,
            source_sha256=stamp.sha256,
            seconds=round(task.seconds, 3),
            error=task.error or "",
        )
        if task.is_own_fault and task.stamp is not None:
            self._manifest.note_failure(task.job.output, row)
        for part in task.parts:
            replaced = self._own_hash(part.output)
            made = replace(row, width=part.size.width, height=part.size.height, replaced_sha256=replaced)
            may_replace = task.job.options.overwrite or bool(replaced)
            self._manifest.place(part.file, part.stamp, part.output, may_replace, made)
