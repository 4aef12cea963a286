"""Pictures from file to file, and what is said of them; pictures from or to a pipe are in `stream`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .console import bars, say, show
from .options_in_text import with_options

if TYPE_CHECKING:
    from ..codecs import EncodeOptions
    from ..inputs.discover import Job, Jobs
    from ..inputs.filters import Skipped
    from ..jobs.outcome import Outcome, SelectionRules
    from ..jobs.workers.messages import WorkerOptions
    from ..pipeline import Pipeline, Reading
    from ..target import Target
    from .options import DryRunOptions, FolderOptions, OutputOptions

MENTIONED = 20
"""The number of files that are named one by one when they are skipped for the same reason."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a command asks for: what is done with every picture, and what is said of it."""

    inputs: list[str]
    output: OutputOptions
    pipeline: Pipeline
    target: Target
    writing: EncodeOptions
    reading: Reading
    workers: WorkerOptions | None
    folders: FolderOptions
    rules: SelectionRules
    messages: DryRunOptions

    @property
    def quiet(self) -> bool:
        return self.messages.quiet


def make_files(request: Request) -> None:
    """Raises SystemExit(1) when a picture failed; all failures have been said by then, however it ends."""
    from ..jobs import report

    file, watch, dry_run = request.folders.report, request.folders.watch, request.messages.dry_run
    if file is not None:
        report.check(file)
    start = time.perf_counter()
    outcomes: list[Outcome] = []
    skipped: list[Skipped] = []
    try:
        for found in _watch(request) if watch else [_find(request, request.output.output)]:
            if not request.quiet:
                _say_skipped(found.skipped, request.messages.verbose)
            skipped += found.skipped
            for outcome in _run(request, found):
                outcomes.append(in_options(outcome))
                if watch:
                    say_failures(outcomes[-1:])
    finally:
        failures = [outcome for outcome in outcomes if outcome.error is not None]
        if not watch:
            say_failures(failures)
        if dry_run and failures and len(outcomes) > 1:
            say(f"{len(failures)} of {len(outcomes)} pictures failed.")
        elif not dry_run and not request.quiet and (len(outcomes) > 1 or any(each.was_done for each in outcomes)):
            say(report.summary(outcomes, len(skipped), time.perf_counter() - start))
        if file is not None:
            report.write(file, outcomes, skipped)
    if failures:
        raise SystemExit(1)


def in_options(outcome: Outcome) -> Outcome:
    """An outcome with its error in terms of options, and without its estimate: there may be ten thousand of them."""
    names = (str(outcome.source), str(outcome.output))
    error = None if outcome.error is None else with_options(outcome.error, names)
    return replace(outcome, error=error, estimate=None)


def say_failures(outcomes: Iterable[Outcome]) -> None:
    """A line for each outcome that is a failure."""
    for outcome in outcomes:
        if outcome.error is not None:
            say(f"error: {outcome.error}")


def _run(request: Request, found: Jobs[Path]) -> Iterator[Outcome]:
    """Runs the jobs and says what became of each, failures left out."""
    from ..jobs.batch import run
    from ..jobs.outcome import describe_estimate

    dry_run = request.messages.dry_run
    with (
        bars([job.source.name for job in found.jobs], request.messages.shows_bars and not dry_run) as shown,
        closing(
            run(
                request.pipeline,
                found.jobs,
                request.target,
                folder=found.folder,
                choice=request.rules,
                workers=request.workers,
                progress=shown.progress,
                dry_run=dry_run,
                **request.reading,
            )
        ) as outcomes,
    ):
        for outcome in outcomes:
            shown.picture_done()
            if dry_run and outcome.estimate is not None:
                show(describe_estimate(outcome.estimate, str(outcome.source), str(outcome.output)))
            elif outcome.skipped is not None and not request.quiet:
                say(f"{outcome.source}: skipped, {outcome.skipped}.")
            elif outcome.error is None and not request.quiet and not outcome.was_done:
                say(f"{outcome.output}  {outcome.size}  {outcome.seconds:.1f} s")
            yield outcome


def _watch(request: Request) -> Iterator[Jobs[Path]]:
    """The jobs that are there now, and those that arrive, for ever. Raises PlanError unless folders go to a folder."""
    from ..errors import PlanError
    from ..inputs.discover import Jobs
    from ..inputs.watch import watch_folders

    output = request.output.output
    folders = [Path(text) for text in request.inputs]
    if output is None or not all(map(os.path.isdir, folders)):
        raise PlanError(
            "--watch works from folder to folder. Name folders that exist, and one for the results with -o."
        )

    def look() -> tuple[Job[Path], ...]:
        try:
            return _find(request, f"{output}{os.sep}").jobs
        except PlanError as error:
            logging.getLogger("upscaler").info("%s", error)  # there is no picture yet, mostly
            return ()

    if not request.quiet:
        say(f"watching {', '.join(request.inputs)}; interrupt to end.")
    with closing(watch_folders(folders, look)) as groups:
        for jobs in groups:
            yield Jobs(tuple(jobs), (), Path(output))


def _find(request: Request, output: str | None) -> Jobs[Path]:
    from ..inputs.discover import find_jobs

    scale = (request.target.scale or request.pipeline.model.scale) if request.target.is_scale else None
    tag = f"_{scale:g}x" if scale else "_upscaled"
    found = find_jobs(
        request.inputs,
        output,
        request.writing,
        tag,
        include=request.folders.include or [],
        exclude=request.folders.exclude or [],
        name=request.output.name,
        scale=scale,
    )
    skipped = tuple(replace(item, reason=with_options(item.reason)) for item in found.skipped)
    return replace(found, skipped=skipped)


def _say_skipped(skipped: tuple[Skipped, ...], verbose: bool) -> None:
    """Says why files are skipped: with `verbose` for each, else for the first MENTIONED of a reason."""
    for reason in dict.fromkeys(item.reason for item in skipped):
        paths = [item.path for item in skipped if item.reason == reason]
        for path in paths if verbose else paths[:MENTIONED]:
            say(f"{path}: skipped, {reason}.")
        if not verbose and len(paths) > MENTIONED:
            say(f"{len(paths) - MENTIONED} more: skipped, {reason}.")
