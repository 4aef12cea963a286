"""Enlarges pictures from file to file, and reports on them; pictures from or to a pipe are in `stream`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..codecs import EncodeOptions
from ..errors import OutputError, PlanError
from ..inputs.discover import Job, Jobs, find_jobs
from ..inputs.filters import Skipped
from ..inputs.watch import watch_folders
from ..jobs import report
from ..jobs.batch import run
from ..jobs.outcome import Outcome, SelectionRules, describe_estimate
from ..jobs.workers.messages import WorkerOptions
from ..pipeline import Pipeline, Reading
from ..target import Target
from .console import Bars, say, show
from .options import DryRunOptions, FolderOptions, JobOptions, MessageOptions, OutputOptions
from .options_in_text import with_options

MENTIONED = 20
"""The number of files that are named one by one when they are skipped for the same reason."""


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a command: what is done with every picture, and what is printed about it."""

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


def make_files(request: Request) -> None:
    """Enlarges the files that exist, or arrive in watched folders. Raises SystemExit(1) when one failed."""
    folders, messages = request.folders, request.messages
    if folders.report is not None:
        report.check(folders.report)
    run_all = partial(run, rules=request.rules, workers=request.workers, dry_run=messages.dry_run, **request.reading)
    skipped: list[Skipped] = []
    with sum_up(skipped, folders, messages) as outcomes:
        for found in _watch(request) if folders.watch else [_find(request, request.output.output)]:
            if not messages.quiet:
                _say_skipped(found.skipped, messages.verbose)
            skipped += found.skipped
            run_job = partial(run_all, request.pipeline, found.jobs, request.target, folder=found.folder)
            follow([each.source.name for each in found.jobs], run_job, outcomes, folders, messages)


def follow(
    names: Sequence[str],
    run_job: Callable[..., Generator[Outcome]],
    outcomes: list[Outcome],
    job: JobOptions,
    messages: MessageOptions,
) -> None:
    """Runs a job with progress bars and prints a line for each picture; for a failure only if folders are watched.

    Adds to `outcomes` what it was given, with errors in terms of options, and without estimates to spare memory.
    """
    bars = Bars(names, messages.shows_bars and not messages.dry_run)
    with closing(bars), closing(run_job(progress=bars.progress)) as made:
        for outcome in made:
            bars.picture_done()
            source, output = str(outcome.source), str(outcome.output)
            if messages.dry_run and outcome.estimate is not None:
                show(describe_estimate(outcome.estimate, source, output, outcome.frames))
            elif outcome.skipped is not None and not messages.quiet:
                say(f"{source}: skipped, {outcome.skipped}.")
            elif outcome.error is None and not messages.quiet and not outcome.was_done:
                frames = f"  {outcome.frames} frames or pages" if outcome.frames else ""
                say(f"{output}  {outcome.size}{frames}  {outcome.seconds:.1f} s")
            error = None if outcome.error is None else with_options(outcome.error, (source, output))
            outcomes.append(replace(outcome, error=error, estimate=None))
            if job.watch:
                _say_failures(outcomes[-1:])


@contextmanager
def sum_up(skipped: Sequence[Skipped], job: JobOptions, messages: MessageOptions) -> Iterator[list[Outcome]]:
    """Yields a list to be filled with outcomes, then prints the failures and a summary, and writes the report.

    Raises SystemExit(1) when a picture failed. Failures are printed also when the block ends by an exception.
    """
    start = time.perf_counter()
    outcomes: list[Outcome] = []
    has_ended = False
    try:
        yield outcomes
        has_ended = True
    finally:
        failed = sum(outcome.error is not None for outcome in outcomes)
        if not job.watch:  # else they have been printed already
            _say_failures(outcomes)
        if messages.dry_run and failed and len(outcomes) > 1:
            say(f"{failed} of {len(outcomes)} pictures failed.")
        elif not (messages.dry_run or messages.quiet) and (len(outcomes) > 1 or any(one.was_done for one in outcomes)):
            say(report.summary(outcomes, len(skipped), time.perf_counter() - start))
        if job.report is not None:
            try:
                report.write(job.report, outcomes, skipped)
            except OutputError as error:
                if has_ended:
                    raise
                logging.getLogger("upscaler").warning("%s", error)  # what ended the job is the error to be named
    if failed:
        raise SystemExit(1)


def _say_failures(outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.error is not None:
            say(f"error: {outcome.error}")


def _watch(request: Request) -> Iterator[Jobs[Path]]:
    """Yields the jobs that exist, then for ever those that arrive. Raises PlanError unless folders go to a folder."""
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
            logging.getLogger("upscaler").info("%s", error)  # in most cases there is no picture yet
            return ()

    if not request.messages.quiet:
        say(f"watching {', '.join(request.inputs)}; interrupt to end.")
    with closing(watch_folders(folders, look)) as groups:
        for jobs in groups:
            yield Jobs(tuple(jobs), (), Path(output))


def _find(request: Request, output: str | None) -> Jobs[Path]:
    scale = (request.target.scale or request.pipeline.scale) if request.target.is_scale else None
    tag = f"_{scale:g}x" if scale else "_upscaled"
    if request.target.crop is not None:
        tag += f"_crop-{str(request.target.crop).replace(',', '-').replace('%', 'pc')}"
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
    """Prints why files are skipped: for each if `verbose`, else for the first MENTIONED of each reason."""
    for reason in dict.fromkeys(item.reason for item in skipped):
        paths = [item.path for item in skipped if item.reason == reason]
        for path in paths if verbose else paths[:MENTIONED]:
            say(f"{path}: skipped, {reason}.")
        if not verbose and len(paths) > MENTIONED:
            say(f"{len(paths) - MENTIONED} more: skipped, {reason}.")
