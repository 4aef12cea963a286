"""`upscaler rerun`: makes a picture again from the recipe that it carries, as it was or with changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import PictureError
from . import options
from .console import say
from .generate import make
from .groups import expand_groups

if TYPE_CHECKING:
    from ..picture import Picture
    from ..recipe import Recipe

MODEL_AS_BEFORE = options.ModelOptions(model=None, blend=None)
HARDWARE_AS_BEFORE = options.HardwareOptions(precision=None)


@expand_groups
def rerun(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="Name a file that upscaler generate has made.")],
    *,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", rich_help_panel="Prompt", help="Say what shall be in the picture instead."),
    ] = None,
    drawing: options.GenerationOptions,
    size: options.GeneratedSizeOptions,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            rich_help_panel="Output",
            help="Write to this file. Default: beside the picture, as NAME_again.",
        ),
    ] = None,
    encoding: options.EncodingOptions,
    generator: options.GeneratorOptions,
    model: options.ModelOptions = MODEL_AS_BEFORE,
    fetching: options.FetchOptions,
    diffusion: options.UpscaleDiffusionOptions,
    hardware: options.HardwareOptions = HARDWARE_AS_BEFORE,
    messages: options.MessageOptions,
) -> None:
    """Make a generated picture again, as it was or otherwise."""
    messages.set_up()
    from .. import codecs
    from ..inputs.discover import Job, Jobs
    from ..jobs.generate import GenerateJob, target_of, upscaler_options
    from ..target import Target
    from ..text2image.parameters import GenerationParameters

    source = codecs.decode(picture)
    made = _recipe_of(source)
    changes = drawing.parameters() | ({} if prompt is None else {"prompt": prompt})
    parameters = GenerationParameters.from_dict(made.parameters)
    parameters = replace(parameters, **({"size": None, **changes} if "aspect" in changes else changes))
    target = size.target()
    text_to_image = generator.text_to_image(
        hardware, fetching, model=str(made.generator["model"]), precision=str(made.generator.get("precision", "auto"))
    )
    enlarges = target != Target() or bool(model.arguments()) or bool(diffusion.arguments())
    upscaler = None
    if not size.no_upscale and (made.upscaler is not None or enlarges):
        settings = {"model": "photo", **upscaler_options(made, model.model)}
        base = settings.pop("diffusion", None)
        upscaler = model.upscaler(hardware, fetching, diffusion.diffusion(base), **settings)
    is_changed = source.size != made.size
    if is_changed and not (enlarges or size.no_upscale or messages.quiet):
        _say_changed(source, made)
    place = Path(picture).with_stem(f"{Path(picture).stem}_again") if output is None else Path(output)
    request = GenerateJob(text_to_image, upscaler, target if target != Target() else target_of(made))
    fetching.download([text_to_image.model, *(upscaler.models if upscaler else ())], messages.shows_bars)
    job = Job(parameters, place, encoding.encode_options())
    make(request, Jobs((job,)), messages, options.JobOptions(), workspace=hardware.workspace)
    if not (is_changed or changes or generator.generator or hardware.precision or enlarges or size.no_upscale):
        _compare(source, codecs.decode(place), made, messages.quiet)


def _recipe_of(picture: Picture) -> Recipe:
    """Returns the recipe in the picture's metadata. Raises PictureError when there is none."""
    from .. import recipe

    made = recipe.read(picture)
    if made is None:
        raise PictureError(
            f"{picture.name} does not say what made it. Pictures of upscaler generate do, unless they were stripped."
        )
    return made


def _say_changed(picture: Picture, made: Recipe) -> None:
    """Warns that the picture was enlarged or cut after upscaler generate had made it."""
    say(
        f"warning: {picture.name} has {picture.size} pixels, and had {made.size} when it was made. It does not tell "
        "what was done since, so it is made as it was then. To have it enlarged as well, add --scale and --model."
    )


def _compare(old: Picture, new: Picture, made: Recipe, quiet: bool) -> None:
    """Prints whether both pictures have the same pixels and, if not, what the reasons may be."""
    import numpy as np

    from .. import recipe

    if np.array_equal(old.pixels, new.pixels):
        if not quiet:
            say("the same, pixel by pixel.")
        return
    again = recipe.read(new)
    reasons = [] if again is None else recipe.differences(made, again)
    say(f"warning: not the same pixels: {'; '.join(reasons) or 'another device, or lossy compression'}.")
