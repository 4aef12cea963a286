"""The table of commands, and what `upscaler --help` says. To add a command, add it to the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from .. import __version__
from . import models
from .console import show
from .doctor import doctor
from .generate import generate
from .info import info
from .rerun import rerun
from .upscale import upscale

COMMANDS: dict[str, Callable[..., None]] = {
    "upscale": upscale,
    "generate": generate,
    "rerun": rerun,
    "info": info,
    "doctor": doctor,
}

GROUPS: dict[str, typer.Typer] = {"models": models.app}

OWN_OPTIONS = ("-h", "--help", "--version")

app = typer.Typer(
    name="upscaler",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        show(f"upscaler {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Makes pictures larger, and makes them from text.

    \b
      upscaler photo.jpg                         4 times as large: photo_4x.jpg
      upscaler photo.jpg -s 2.5 -o large.png     2.5 times, as PNG
      upscaler holiday -o large --fit 4k         every picture of a folder
      upscaler *.png -o large --long-edge 6000   several pictures
      cat photo.jpg | upscaler - > large.jpg     from a pipe, into another

    \b
      upscaler generate "a lighthouse at dusk" -s 4 -o poster.png     from a prompt
      upscaler rerun poster.png --seed 7                              the same with other noise
      upscaler info poster.png                                        what made it

    Real-ESRGAN and other networks: upscaler photo.jpg -m realesrgan-x4plus; all are in upscaler models list.

    `upscaler PICTURE…` is short for `upscaler upscale PICTURE…`.
    All options: `upscaler upscale --help`.
    """


for name, command in COMMANDS.items():
    app.command(name)(command)

for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def with_command(arguments: list[str]) -> list[str]:
    """The arguments, `upscale` put before them unless they begin with a command or an option of the whole."""
    return arguments if arguments[0] in (*COMMANDS, *GROUPS, *OWN_OPTIONS) else ["upscale", *arguments]
