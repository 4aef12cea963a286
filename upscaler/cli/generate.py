"""`upscaler generate`: pictures from text, and what is said of them."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .console import bars, say
from .files import in_options, say_failures
from .groups import expand_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..codecs import EncodeOptions
    from ..inputs.discover import Jobs
    from ..jobs.generate import GenerateJob
    from ..jobs.outcome import Outcome
    from ..text2image.parameters import GenerationParameters


@expand_groups
def generate(
    prompts: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROMPT", help="Say what shall be in the picture; several make several."),
    ] = None,
    *,
    source: options.PromptOptions,
    drawing: options.GenerationOptions,
    size: options.GeneratedSizeOptions,
    output: options.GeneratedOutputOptions,
    encoding: options.FormatOptions,
    generator: options.GeneratorOptions,
    model: options.ModelOptions,
    fetching: options.FetchOptions,
    diffusion: options.UpscaleDiffusionOptions,
    hardware: options.HardwareOptions,
    parallel: options.ParallelOptions,
    job: options.JobOptions,
    messages: options.MessageOptions,
) -> None:
    """Make pictures from text, and enlarge them.

    What made a picture is written into it: see upscaler info and upscaler rerun.
    """
    messages.set_up()
    from ..jobs import report
    from ..jobs.generate import GenerateJob
    from ..jobs.prompts import expand_prompts

    workers = parallel.worker_options(hardware)
    if job.report is not None:
        report.check(job.report)
    common = ({"seed": 0} if source.file is not None else {}) | drawing.parameters()
    writing = encoding.encode_options(encoding.format)
    wishes = _wishes(prompts, source.file, drawing.init_image)
    jobs = expand_prompts(wishes, common, source.count, output.output, writing, output.name)
    target = size.target()
    if size.no_upscale and output.keep_original:
        _refuse_original()
    drawer = generator.text_to_image(hardware, fetching)
    if generator.generator is None and not messages.quiet:
        say(f"{drawer.model.name} draws, {drawer.reason}. Another can be chosen with --generator.")
    upscaler = None if size.no_upscale else model.upscaler(hardware, fetching, diffusion.diffusion())
    sheet = _grid(jobs, writing) if output.grid else None
    chain = GenerateJob(drawer, upscaler, target, output.keep_original)
    fetching.download([drawer.model, *(upscaler.models if upscaler else ())], messages.shows_bars)
    making = {"options": writing, "workers": workers, "workspace": hardware.workspace}
    make(chain, jobs, messages, job, sheet, **making)


def make(
    chain: GenerateJob,
    jobs: Jobs[GenerationParameters],
    messages: options.MessageOptions,
    job: options.JobOptions,
    grid: Path | None = None,
    **making: Any,
) -> None:
    """Runs the job and says what became of each picture.

    Raises SystemExit(1) when one failed; all failures have been said by then, however it ends.
    """
    from ..jobs import report
    from ..jobs.generate import run

    start = time.perf_counter()
    outcomes: list[Outcome] = []
    names = [each.output.name for each in jobs.jobs]
    making |= {"folder": jobs.folder, "grid": grid, "force": job.force}
    try:
        with (
            bars(names, messages.shows_bars) as shown,
            closing(run(chain, jobs.jobs, progress=shown.progress, **making)) as made,
        ):
            for outcome in made:
                shown.picture_done()
                outcomes.append(in_options(outcome))
                if outcome.error is None and not outcome.was_done and not messages.quiet:
                    say(f"{outcome.output}  {outcome.size}  {outcome.seconds:.1f} s")
        if grid is not None and grid.exists() and not messages.quiet:
            say(str(grid))
    finally:
        say_failures(outcomes)
        if not messages.quiet and (len(outcomes) > 1 or any(outcome.was_done for outcome in outcomes)):
            say(report.summary(outcomes, 0, time.perf_counter() - start))
        if job.report is not None:
            report.write(job.report, outcomes, ())
    if any(outcome.error is not None for outcome in outcomes):
        raise SystemExit(1)


def _wishes(prompts: list[str] | None, file: Path | None, image: str | None) -> Sequence[dict[str, Any]]:
    """The prompts that were typed, then those of the file. With an `--init-image` there need not be any."""
    from ..errors import PlanError
    from ..jobs.prompts import read

    wishes = [{"prompt": prompt} for prompt in prompts or ()] + (read(file) if file is not None else [])
    if not wishes and image is None:
        raise PlanError('there is no prompt. Write one, as "a lighthouse at dusk", or name a file with --prompts.')
    return wishes or [{"prompt": ""}]


def _refuse_original() -> None:
    from ..errors import PlanError

    raise PlanError("--no-upscale and --keep-original: pictures stay as they are generated. Leave out one of them.")


def _grid(jobs: Jobs[GenerationParameters], writing: EncodeOptions) -> Path:
    """The file of the contact sheet. Raises PlanError when there is only one picture, or one has this name."""
    from ..codecs import writable
    from ..errors import PlanError

    if len(jobs.jobs) == 1:
        raise PlanError("--grid is for several pictures. Ask for more with -n, or leave it out.")
    path = (jobs.folder or Path()) / f"grid{writable(writing.format).suffixes[0]}"
    if path in [each.output for each in jobs.jobs]:
        raise PlanError(f"--grid: {path} is what one of the pictures is called. Choose another --name.")
    return path
