"""`upscaler generate`: makes pictures from text and reports on them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import PlanError
from . import options
from .console import say
from .groups import expand_groups

if TYPE_CHECKING:
    from ..codecs import EncodeOptions
    from ..inputs.discover import Jobs
    from ..jobs.generate import GenerateJob
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
    from ..jobs.prompts import expand_prompts, read

    workers = parallel.worker_options(hardware)
    if job.report is not None:
        report.check(job.report)
    common = ({"seed": 0} if source.file is not None else {}) | drawing.parameters()
    writing = encoding.encode_options()
    rows = [{"prompt": prompt} for prompt in prompts or ()] + (read(source.file) if source.file is not None else [])
    if not rows and drawing.image is None:
        raise PlanError('there is no prompt. Write one, as "a lighthouse at dusk", or name a file with --prompts.')
    jobs = expand_prompts(rows or [{"prompt": ""}], common, source.count, output.output, writing, output.name)
    target = size.target()
    if size.no_upscale and output.keep_original:
        raise PlanError("--no-upscale and --keep-original: pictures stay as they are generated. Leave out one of them.")
    text_to_image = generator.text_to_image(hardware, fetching)
    if generator.generator is None and not messages.quiet:
        say(f"{text_to_image.model.name} draws, {text_to_image.reason}. Another can be chosen with --generator.")
    upscaler = None if size.no_upscale else model.upscaler(hardware, fetching, diffusion.diffusion())
    sheet = _grid(jobs, writing) if output.grid else None
    request = GenerateJob(text_to_image, upscaler, target, output.keep_original)
    fetching.download([text_to_image.model, *(upscaler.models if upscaler else ())], messages.shows_bars)
    make(request, jobs, messages, job, sheet, options=writing, workers=workers, workspace=hardware.workspace)


def make(
    request: GenerateJob,
    jobs: Jobs[GenerationParameters],
    messages: options.MessageOptions,
    job: options.JobOptions,
    grid: Path | None = None,
    **run_options: Any,
) -> None:
    """Runs the job and prints the outcome of each picture. Raises SystemExit(1) when one failed."""
    from ..jobs.generate import run
    from .files import follow, sum_up

    run_all = partial(run, request, jobs.jobs, folder=jobs.folder, grid=grid, force=job.force, **run_options)
    with sum_up((), job, messages) as outcomes:
        follow([each.output.name for each in jobs.jobs], run_all, outcomes, job, messages)
        if grid is not None and grid.exists() and not messages.quiet:
            say(str(grid))


def _grid(jobs: Jobs[GenerationParameters], writing: EncodeOptions) -> Path:
    """Returns the path of the contact sheet. Raises PlanError if there is only one picture, or one has this name."""
    from ..codecs import writable

    if len(jobs.jobs) == 1:
        raise PlanError("--grid is for several pictures. Ask for more with -n, or leave it out.")
    path = (jobs.folder or Path()) / f"grid{writable(writing.format).suffixes[0]}"
    if path in [each.output for each in jobs.jobs]:
        raise PlanError(f"--grid: {path} is what one of the pictures is called. Choose another --name.")
    return path
