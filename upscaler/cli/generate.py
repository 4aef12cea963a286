"""`upscaler generate`: its options, and what is said of the pictures."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .console import bars, say, set_up_logging
from .models import have
from .options_in_text import with_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..codecs import EncodeOptions
    from ..jobs.chain import GenerateJob
    from ..jobs.outcome import Outcome
    from ..jobs.prompts import Orders
    from ..pipeline import Upscaler
    from ..target import Target
    from ..text2image.text_to_image import TextToImage


def generate(  # the options of a command are its parameters
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What shall be in the picture; several make several.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            metavar="FILE",
            help="More of them: a text with one a line, or .csv or .jsonl with a column per option: prompt, negative, "
            "style, size, aspect, steps, guidance, seed, image, strength, lora.",
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, metavar="N", help="Of each prompt so many, with seeds in a row.")
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Of the noise: the same seed gives the same picture. Default: chosen at random; with --prompts 0, so "
            "that the same command goes on where it was interrupted.",
        ),
    ] = None,
    negative: options.Negative = None,
    style: options.Style = None,
    size: options.PictureSize = None,
    aspect: options.Aspect = None,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    init_image: options.InitImage = None,
    strength: options.Strength = None,
    lora: options.Lora = None,
    generator: options.GeneratorName = None,
    no_upscale: options.NoUpscale = False,
    keep_original: Annotated[
        bool, typer.Option("--keep-original", help="Write also what is generated, as NAME_original.")
    ] = False,
    scale: options.Scale = None,
    width: options.Width = None,
    height: options.Height = None,
    long_edge: options.LongEdge = None,
    megapixels: options.Megapixels = None,
    fit: options.Fit = None,
    at_least: options.AtLeast = None,
    print: options.Print = None,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="NAME", help="What enlarges: a model's name, a network's file, or its URL."
        ),
    ] = "photo",
    blend: Annotated[float, typer.Option(metavar="0..1", help="Of its effect; the rest is a plain filter's.")] = 1.0,
    fidelity: Annotated[
        float | None, typer.Option(metavar="0..1", help="How much its result is held to what was generated.")
    ] = None,
    creativity: options.Creativity = None,
    upscale_prompt: options.UpscalePrompt = None,
    upscale_steps: options.UpscaleSteps = None,
    control: options.Control = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="A file, or a folder. Default: here, as a-red-circle_17.png."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="TEMPLATE", help="Of pictures' names: {slug}, {seed}, {number}, {suffix}.")
    ] = None,
    grid: Annotated[bool, typer.Option("--grid", help="Write also a contact sheet of all, called grid.")] = False,
    overwrite: options.Overwrite = False,
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", metavar="NAME", help="png, jpg, webp, tif, avif … Default: -o's, png."),
    ] = None,
    quality: options.Quality = None,
    lossless: options.Lossless = False,
    compression: options.Compression = None,
    strip: options.Strip = False,
    no_safety_checker: options.NoSafetyChecker = False,
    allow_pickle: options.AllowPickle = False,
    offline: options.Offline = False,
    device: options.Device = None,
    precision: Annotated[
        str, typer.Option(metavar="NAME", help="fp32, fp16, bf16, or auto: the fastest that is safe.")
    ] = "auto",
    memory: options.Memory = None,
    workspace: options.Workspace = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make again what an earlier run into the same folder has made.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a row for every picture: .json or .csv.")
    ] = None,
    progress: options.Progress = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make pictures from text, and enlarge them.

    First the options for what is drawn, then for how large it becomes, for the output, for the computation and for
    what is said. What made a picture is written into it: see upscaler info and upscaler rerun.
    """
    set_up_logging(quiet, verbose)
    from ..codecs import EncodeOptions
    from ..jobs import report as reports
    from ..jobs.chain import GenerateJob
    from ..jobs.prompts import expand_prompts
    from ..target import parse_memory

    visible = options.shows_bars(quiet, verbose, progress)
    if report is not None:
        reports.check(report)
    common = options.given_parameters(
        negative=negative,
        style=style,
        size=size,
        aspect=aspect,
        steps=steps,
        guidance=guidance,
        seed=0 if seed is None and file is not None else seed,
        image=init_image,
        strength=strength,
        loras=lora,
    )
    writing = EncodeOptions(options.format_named(format), quality, lossless, compression, strip, overwrite)
    orders = expand_prompts(_wishes(prompts, file, init_image), common, count, output, writing, name)
    target = options.target(
        fit, at_least, print, scale=scale, width=width, height=height, long_edge=long_edge, megapixels=megapixels
    )
    if no_upscale:
        refuse_odds(target, keep_original)
    computing: dict[str, Any] = {
        "device": device,
        "precision": precision,
        "memory": None if memory is None else parse_memory(memory),
    }
    drawing = {"safety_checker": not no_safety_checker, "allow_pickle": allow_pickle, "offline": offline or None}
    drawer = the_generator(generator, **computing, **drawing)
    if generator is None and not quiet:
        say(f"{drawer.model.name} draws, {drawer.reason}. Another can be chosen with --generator.")
    told = options.diffusion(prompt=upscale_prompt, steps=upscale_steps, creativity=creativity, control=control)
    enlarging = {"blend": blend, "fidelity": fidelity, "diffusion": told, "workspace": workspace, **computing}
    upscaler = None if no_upscale else the_upscaler(model, allow_pickle, **enlarging)
    sheet = _grid(orders, writing) if grid else None
    chain = GenerateJob(drawer, upscaler, target, keep_original)
    fetch(chain, visible, offline, allow_pickle)
    make(chain, orders, Saying(visible, quiet, report), sheet, options=writing, force=force, workspace=workspace)


@dataclass(frozen=True, slots=True)
class Saying:
    """What is said of the pictures, and where it is written."""

    bars: bool
    quiet: bool
    report: Path | None = None


def the_generator(name: str | None, **settings: Any) -> TextToImage:
    """Raises PlanError for a name that is none."""
    from ..errors import ModelError, PlanError
    from ..text2image.text_to_image import TextToImage

    try:
        return TextToImage(name, **settings)
    except ModelError as error:
        if name is None:
            raise
        raise PlanError(f"--generator {error}") from error


def the_upscaler(name: str, allow_pickle: bool, **settings: Any) -> Upscaler:
    """Likewise. Only of diffusion models it has to be told that they may be pickles."""
    from ..catalog import find
    from ..engines.pool import DIFFUSION
    from ..errors import ModelError, PlanError
    from ..pipeline import Upscaler

    try:
        if allow_pickle and find(name).kind in DIFFUSION:
            settings["diffusion"] = options.diffusion(settings.get("diffusion"), allow_pickle=True)
        return Upscaler(name, **settings)
    except ModelError as error:
        raise PlanError(f"--model {error}") from error


def refuse_odds(target: Target, keep_original: bool = False) -> None:
    """Raises PlanError for what makes no sense with --no-upscale."""
    from ..errors import PlanError
    from ..target import Target

    if keep_original or target != Target():
        other = "--keep-original" if keep_original else "a size to enlarge to"
        raise PlanError(f"--no-upscale and {other}: pictures stay as they are generated. Leave out one of them.")


def fetch(chain: GenerateJob, visible: bool, offline: bool, allow_pickle: bool) -> None:
    """The files of both models, under bars if they shall be `visible`. Raises ModelError."""
    for needed in [chain.generator.model, *(chain.upscaler.models if chain.upscaler else ())]:
        have(needed, offline or None, visible, allow_pickle)


def make(chain: GenerateJob, orders: Orders, saying: Saying, grid: Path | None = None, **making: Any) -> None:
    """Runs `jobs.generate.run`, and says what became of each picture.

    Raises SystemExit(1) when one failed; all failures have been said by then, however it ends.
    """
    from ..jobs import report
    from ..jobs.generate import run

    start = time.perf_counter()
    outcomes: list[Outcome] = []
    names = [order.output.name for order in orders.orders]
    try:
        with (
            bars(names, saying.bars) as shown,
            closing(run(chain, orders.orders, folder=orders.folder, grid=grid, progress=shown.tiles, **making)) as made,
        ):
            for outcome in made:
                shown.picture_done()
                outcomes.append(replace(outcome, estimate=None))
                if outcome.error is None and not outcome.was_done and not saying.quiet:
                    say(f"{outcome.output}  {outcome.size}  {outcome.seconds:.1f} s")
        if grid is not None and grid.exists() and not saying.quiet:
            say(str(grid))
    finally:
        failures = [outcome.error for outcome in outcomes if outcome.error is not None]
        for error in failures:
            say(f"error: {with_options(error)}")
        if not saying.quiet and (len(outcomes) > 1 or any(outcome.was_done for outcome in outcomes)):
            say(report.summary(outcomes, 0, time.perf_counter() - start))
        if saying.report is not None:
            report.write(saying.report, outcomes, ())
    if failures:
        raise SystemExit(1)


def _wishes(prompts: list[str] | None, file: Path | None, image: str | None) -> Sequence[dict[str, Any]]:
    """What was typed, then what is in the file. To change a picture takes no words."""
    from ..errors import PlanError
    from ..jobs.prompts import read

    wishes = [{"prompt": prompt} for prompt in prompts or ()] + (read(file) if file is not None else [])
    if not wishes and image is None:
        raise PlanError('there is no prompt. Write one, as "a lighthouse at dusk", or name a file with --prompts.')
    return wishes or [{"prompt": ""}]


def _grid(orders: Orders, writing: EncodeOptions) -> Path:
    """Raises PlanError when there is but one picture, or one is called so."""
    from ..codecs import writable
    from ..errors import PlanError

    if len(orders.orders) == 1:
        raise PlanError("--grid: is for several pictures. Ask for more with -n, or leave it out.")
    path = (orders.folder or Path()) / f"grid{writable(writing.format).suffixes[0]}"
    if path in [order.output for order in orders.orders]:
        raise PlanError(f"--grid: {path} is what one of the pictures is called. Choose another --name.")
    return path
