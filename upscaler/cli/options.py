"""The options that several commands have in common; how those that belong together are read."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..codecs import Format
    from ..diffusion.options import Diffusion
    from ..target import Target

Negative = Annotated[str | None, typer.Option(metavar="TEXT", help="What shall not be in the picture.")]

Style = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="watercolour, illustration, photograph, oil on canvas, ink drawing, pixel art …"),
]

PictureSize = Annotated[
    str | None, typer.Option(metavar="WxH", help="Before it is enlarged. Default: what the generator was trained on.")
]

Aspect = Annotated[str | None, typer.Option(metavar="W:H", help="Instead of a size: 16:9, 3:4 …")]

Steps = Annotated[int | None, typer.Option(metavar="N", help="From noise to picture. Default: the generator's.")]

Guidance = Annotated[
    float | None, typer.Option(metavar="N", help="How much the prompt counts. Default: the generator's.")
]

InitImage = Annotated[str | None, typer.Option(metavar="PICTURE", help="Begin with this one instead of noise.")]

Strength = Annotated[
    float | None, typer.Option(metavar="0..1", help="How much of that is drawn anew: 1 is all of it. Default: 0.6.")
]

Lora = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE[:WEIGHT]", help="Changes to the generator's weights. May be given several times."),
]

GeneratorName = Annotated[
    str | None,
    typer.Option(
        "--generator",
        "-g",
        metavar="NAME",
        help="What draws: a model's name (see upscaler models list), a folder, a .safetensors file, or a repository of "
        "the hub. Default: the best that this machine can run.",
    ),
]

Scale = Annotated[
    float | None,
    typer.Option("--scale", "-s", metavar="TIMES", help="Times as large: 2, 2.5, 8 … Default: the model's, 4."),
]
Width = Annotated[int | None, typer.Option(metavar="PIXELS", help="This wide; the height follows.")]
Height = Annotated[int | None, typer.Option(metavar="PIXELS", help="This high; the width follows.")]
LongEdge = Annotated[int | None, typer.Option(metavar="PIXELS", help="The longer side this long.")]
Megapixels = Annotated[float | None, typer.Option(metavar="N", help="So many million pixels.")]
Fit = Annotated[
    str | None, typer.Option(metavar="WxH", help="As large as fits into 3840x2160, or hd, fullhd, 2k, 4k, 5k, 8k.")
]
AtLeast = Annotated[
    str | None,
    typer.Option(metavar="WxH", help="Just large enough to cover 3840x2160, or 4k …; larger ones stay as they are."),
]
Print = Annotated[
    str | None,
    typer.Option(
        metavar="PAPER",
        help="As large as fits onto paper that is turned as the picture is: 60x90cm, 24x36in, a0 to a6, letter; with "
        "300 dots an inch, or as many as in 60x90cm@200.",
    ),
]

NoUpscale = Annotated[bool, typer.Option("--no-upscale", help="Leave pictures as they are generated.")]

Creativity = Annotated[
    float | None,
    typer.Option(metavar="0..1", help="If a diffusion model enlarges: how much may be drawn anew. Default: 0.25."),
]
UpscalePrompt = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Likewise: what it is told of the picture. Default: nothing.")
]
UpscaleSteps = Annotated[
    int | None,
    typer.Option(min=1, max=1000, metavar="N", help="Likewise: of its way from noise to picture. Default: its own."),
]
Control = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="For refine and generators: a ControlNet that holds the result to its source."),
]

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
Quality = Annotated[
    int | None, typer.Option(min=1, max=100, metavar="N", help="Of JPEG (default 95), WebP (90) and AVIF (80).")
]
Lossless = Annotated[bool, typer.Option("--lossless", help="WebP and AVIF without any loss.")]
Compression = Annotated[
    int | None, typer.Option(min=0, max=9, metavar="N", help="Of PNG (default 3) and TIFF (6): 0 fast, 9 small.")
]
Strip = Annotated[bool, typer.Option("--strip", help="Leave out what made the picture, and all other metadata.")]

AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Load models that are not safetensors, which can run programs.")
]
NoSafetyChecker = Annotated[
    bool, typer.Option("--no-safety-checker", help="Do without the one that comes with some generators.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch no model, whatever happens.")]
Device = Annotated[
    str | None,
    typer.Option("--device", "-d", metavar="NAME", help="cuda, cuda:1, rocm, xpu, mps, cpu. Default: the best."),
]
Memory = Annotated[str | None, typer.Option(metavar="SIZE", help="For models: 8GB, 800MB. Default: what is free.")]
Workspace = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        writable=True,
        metavar="FOLDER",
        help="For large pictures in the making. Default: the output's.",
    ),
]
Progress = Annotated[bool, typer.Option("--progress", help="Progress bars, terminal or not.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say everything.")]


def given(**options: Any) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in options.items() if value is not None}


def given_parameters(**options: Any) -> dict[str, Any]:
    """Those that were given, as fields of `generation.parameters.GenerationParameters`. Raises PlanError."""
    from ..target import parse_size
    from ..text2image.parameters import Lora as Mixed

    parameters = given(**options)
    if "size" in parameters:
        parameters["size"] = parse_size(parameters["size"])
    if "loras" in parameters:
        parameters["loras"] = tuple(map(Mixed.parse, parameters["loras"]))
    return parameters


def target(fit: str | None, at_least: str | None, print: str | None, **options: Any) -> Target:
    """Raises PlanError when several were given."""
    from ..target import Target, parse_paper, parse_size

    return Target(
        **options,
        fit=None if fit is None else parse_size(fit),
        at_least=None if at_least is None else parse_size(at_least),
        print=None if print is None else parse_paper(print),
    )


def diffusion(base: Diffusion | None = None, **options: Any) -> Diffusion | None:
    """With those options that were given; `base` if none was."""
    from ..diffusion.options import Diffusion

    changes = given(**options)
    return replace(base or Diffusion(), **changes) if changes else base


def format_named(name: str | None) -> Format | None:
    """One that can be written, by its name or suffix. Raises PlanError."""
    from ..codecs import FORMATS, by_name
    from ..errors import PlanError

    if name is None:
        return None
    format = by_name(name.lstrip("."))
    if format is None or format.writer is None:
        known = ", ".join(format.suffixes[0][1:] for format in FORMATS if format.writer)
        raise PlanError(f"--format {name}: cannot be written. Choose one of {known}.")
    return format


def shows_bars(quiet: bool, verbose: bool, progress: bool) -> bool:
    """Raises PlanError when nothing and much shall be said."""
    from ..errors import PlanError

    if quiet and (verbose or progress):
        raise PlanError(f"--quiet and {'--verbose' if verbose else '--progress'}: are opposites. Choose one of them.")
    return not quiet and (progress or (sys.stderr is not None and sys.stderr.isatty()))
