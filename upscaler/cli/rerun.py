"""`upscaler rerun`: a picture made again from what it says of itself, as it was or otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .console import say, set_up_logging
from .generate import Saying, fetch, make, refuse_odds, the_generator, the_upscaler

if TYPE_CHECKING:
    from ..picture import Picture
    from ..recipe import Recipe


def rerun(  # the options of a command are its parameters
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A file that upscaler generate has made.")],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: beside the picture, as NAME_again."),
    ] = None,
    prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="What shall be in the picture.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of the noise.")] = None,
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
    scale: options.Scale = None,
    width: options.Width = None,
    height: options.Height = None,
    long_edge: options.LongEdge = None,
    megapixels: options.Megapixels = None,
    fit: options.Fit = None,
    at_least: options.AtLeast = None,
    print: options.Print = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="What enlarges: a model's name, file or URL.")
    ] = None,
    blend: Annotated[
        float | None, typer.Option(metavar="0..1", help="Of its effect; the rest is a plain filter's.")
    ] = None,
    fidelity: Annotated[
        float | None, typer.Option(metavar="0..1", help="How much its result is held to what was generated.")
    ] = None,
    creativity: options.Creativity = None,
    upscale_prompt: options.UpscalePrompt = None,
    upscale_steps: options.UpscaleSteps = None,
    control: options.Control = None,
    overwrite: options.Overwrite = False,
    quality: options.Quality = None,
    lossless: options.Lossless = False,
    compression: options.Compression = None,
    strip: options.Strip = False,
    no_safety_checker: options.NoSafetyChecker = False,
    allow_pickle: options.AllowPickle = False,
    offline: options.Offline = False,
    device: options.Device = None,
    precision: Annotated[
        str | None, typer.Option(metavar="NAME", help="fp32, fp16, bf16, auto. Default: as it was made.")
    ] = None,
    memory: options.Memory = None,
    workspace: options.Workspace = None,
    progress: options.Progress = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make a generated picture again, as it was or otherwise."""
    set_up_logging(quiet, verbose)
    from .. import codecs
    from ..codecs import EncodeOptions
    from ..jobs.chain import GenerateJob, target_of, upscaler_options
    from ..jobs.prompts import Order, Orders
    from ..target import Target, parse_memory
    from ..text2image.parameters import GenerationParameters

    visible = options.shows_bars(quiet, verbose, progress)
    source = codecs.decode(picture)
    made = _recipe_of(source)
    given_parameters = options.given_parameters(
        prompt=prompt,
        seed=seed,
        negative=negative,
        style=style,
        size=size,
        aspect=aspect,
        steps=steps,
        guidance=guidance,
        image=init_image,
        strength=strength,
        loras=lora,
    )
    parameters = GenerationParameters.from_dict(made.parameters)
    parameters = replace(parameters, **({"size": None, **given_parameters} if aspect is not None else given_parameters))
    asked = options.target(
        fit, at_least, print, scale=scale, width=width, height=height, long_edge=long_edge, megapixels=megapixels
    )
    if no_upscale:
        refuse_odds(asked)
    told = options.given(prompt=upscale_prompt, steps=upscale_steps, creativity=creativity, control=control)
    given = options.given(model=model, blend=blend, fidelity=fidelity)
    enlarges = asked != Target() or bool(given) or bool(told)
    given |= options.given(precision=precision)
    computing: dict[str, Any] = {"device": device, "memory": None if memory is None else parse_memory(memory)}
    drawer = the_generator(
        generator or str(made.generator["model"]),
        precision=precision or str(made.generator.get("precision", "auto")),
        safety_checker=not no_safety_checker,
        allow_pickle=allow_pickle,
        offline=offline or None,
        **computing,
    )
    upscaler = None
    if not no_upscale and (made.upscaler is not None or enlarges):
        enlarging = {"model": "photo", **upscaler_options(made, model), **given, **computing, "workspace": workspace}
        enlarging["diffusion"] = options.diffusion(enlarging.get("diffusion"), **told)
        upscaler = the_upscaler(enlarging.pop("model"), allow_pickle, **enlarging)
    is_changed = source.size != made.size
    if is_changed and not (enlarges or no_upscale or quiet):
        _say_changed(source, made)
    place = _again(Path(picture)) if output is None else Path(output)
    writing = EncodeOptions(None, quality, lossless, compression, strip, overwrite)
    chain = GenerateJob(drawer, upscaler, asked if asked != Target() else target_of(made))
    fetch(chain, visible, offline, allow_pickle)
    make(chain, Orders((Order(parameters, place, writing),), None), Saying(visible, quiet), workspace=workspace)
    if not (
        is_changed or given_parameters or generator or given or enlarges or no_upscale
    ):  # then it shall be the same
        _compare(source, codecs.decode(place), made, quiet)


def _recipe_of(picture: Picture) -> Recipe:
    """Raises PictureError when there is none."""
    from .. import recipe
    from ..errors import PictureError

    made = recipe.of(picture)
    if made is None:
        raise PictureError(
            f"{picture.name}: does not say what made it. Only pictures of upscaler generate do, unless it was stripped."
        )
    return made


def _again(picture: Path) -> Path:
    return picture.with_stem(f"{picture.stem}_again")


def _say_changed(picture: Picture, made: Recipe) -> None:
    """Of one that was enlarged, or cut, after upscaler generate had made it."""
    say(
        f"warning: {picture.name}: has {picture.size} pixels, and had {made.size} when it was made. What was done "
        "since it does not tell; what was made then is made again. To have it enlarged, too, add --scale and --model."
    )


def _compare(old: Picture, new: Picture, made: Recipe, quiet: bool) -> None:
    """Says whether they have the same pixels and, if not, what may be the reason."""
    import numpy as np

    from .. import recipe

    if np.array_equal(old.pixels, new.pixels):
        if not quiet:
            say("the same, pixel by pixel.")
        return
    again = recipe.of(new)
    reasons = [] if again is None else recipe.differences(made, again)
    say(f"warning: not the same pixels: {'; '.join(reasons) or 'another device, or lossy compression'}.")
