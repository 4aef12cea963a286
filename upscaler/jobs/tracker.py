"""The books of a job: which of its pictures are to be made, and what became of them.

How they are made is `maker`'s, by whom is `crew`'s.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from .. import codecs
from ..errors import PictureError
from ..inputs import storage
from ..inputs.discover import Job, folder_for
from ..inputs.storage import Remote
from ..tiling import Size
from .failure import sentence
from .manifest import Manifest, Row, Stamp
from .outcome import Outcome, SelectionRules
from .stages import Report, Task

UNKNOWN = Stamp(-1, 0, "")
"""Of a source that could be read, but not before that: it will seem to have changed."""


class JobTracker:
    """Admits jobs and settles them; may be used from several threads. Without a manifest nothing is remembered.

    Both methods raise OutputError when the disk is full, or the manifest cannot be kept.
    """

    def __init__(self, manifest: Manifest | None, settings: dict[str, Any], choice: SelectionRules) -> None:
        """`settings`: what results depend on, the way of writing left out; see `settings`."""
        self._manifest = manifest
        self._options = settings
        self._choice = choice

    def start(self, job: Job) -> Task | Outcome:
        """What there is to be done, or the outcome if it is known already."""
        try:
            return self._admit(job)
        except Exception as problem:
            return _failed(job, sentence(problem, job))

    def finish(self, task: Task, report: Report) -> Outcome:
        """Notes what became of a picture, and gives its result the name."""
        job = task.job
        if report.skipped is not None:
            return Outcome(job.source, job.output, None, None, report.seconds, skipped=report.skipped)
        try:
            self._note(task, report)
        except Exception as problem:
            return _failed(job, sentence(problem, job), report.seconds)
        if report.error is not None or report.estimate is None:
            return _failed(job, report.error, report.seconds)
        estimate = report.estimate
        return Outcome(job.source, job.output, None, estimate.result, report.seconds, report.lr_rmse, estimate=estimate)

    def _admit(self, job: Job) -> Task | Outcome:
        if job.problem is not None:
            raise PictureError(job.problem)
        path, stat, replaced = job.output, storage.stat(job.source), ""
        row = None if self._manifest is None else self._manifest.row(path)
        if row is not None and self._manifest is not None and stat is not None:
            is_same = row.settings == self._settings(job) and self._manifest.is_same(row, job.source)
            if is_same and not self._choice.force:
                if self._manifest.is_done(row, path):
                    return Outcome(job.source, path, None, Size(row.width, row.height), row.seconds, was_done=True)
                if row.outcome == "failed" and not self._choice.retry_failed:
                    raise PictureError(row.error)
            replaced = self._manifest.own_hash(row, path)
        if replaced:
            job = replace(job, options=replace(job.options, overwrite=True))
        if not isinstance(path, Remote):
            folder_for(path)
        codecs.check(path, job.options, Size(1, 1))  # that it exists already is worth knowing before it is read
        return Task(job, 0 if stat is None else stat.size, replaced)

    def _note(self, task: Task, report: Report) -> None:
        job, manifest, source = task.job, self._manifest, report.source or UNKNOWN
        if manifest is None:
            return
        row = Row(
            output="",
            source=str(job.source),
            settings=self._settings(job),
            outcome="placing",
            source_size=source.size,
            source_mtime_ns=source.mtime_ns,
            source_sha256=source.sha256,
            replaced_sha256=task.replaced,
            seconds=round(report.seconds, 3),
            error=report.error or "",
        )
        if report.is_own_fault and report.source is not None:
            manifest.note_failure(job.output, row)
        elif report.part is not None and report.made is not None and report.estimate is not None:
            size = report.estimate.result
            manifest.place(
                report.part,
                report.made,
                job.output,
                job.options.overwrite,
                replace(row, width=size.width, height=size.height),
            )

    def _settings(self, job: Job) -> str:
        return json.dumps({**self._options, **job.options.settings(job.output)}, sort_keys=True)


def _failed(job: Job, error: str | None, seconds: float = 0.0) -> Outcome:
    return Outcome(job.source, job.output, error, None, seconds)
