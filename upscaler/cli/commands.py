"""The table of commands, and what `upscaler --help` says. To add a command, add it to the table."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from . import models
from .compare import compare
from .console import show
from .doctor import doctor
from .generate import generate
from .groups import Command, PanelCommand
from .info import info
from .rerun import rerun
from .upscale import upscale

COMMANDS: dict[str, Command] = {each.__name__: each for each in (upscale, generate, rerun, compare, info, doctor)}

DEFAULT = "upscale"


class _Commands(TyperGroup):
    """The commands; `upscaler PICTURE…` is short for `upscaler upscale PICTURE…`, for the shell's completion too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = [word for option in self.get_params(ctx) for word in option.opts]
        named = not args or args[0] in (*self.commands, *own)
        return super().parse_args(ctx, args if named else [DEFAULT, *args])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        command = self.commands[DEFAULT]
        context = command.make_context(DEFAULT, [], parent=ctx, resilient_parsing=True)
        return [*super().shell_complete(ctx, incomplete), *command.shell_complete(context, incomplete)]


app = typer.Typer(
    name="upscaler",
    cls=_Commands,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
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
      upscaler compare photo.jpg --open          what each model makes of a part of it

    \b
      upscaler generate "a lighthouse at dusk" -s 4 -o poster.png     from a prompt
      upscaler rerun poster.png --seed 7                              the same with other noise
      upscaler info poster.png                                        what made it

    Real-ESRGAN and other networks: upscaler photo.jpg -m realesrgan-x4plus; all are in upscaler models list.

    `upscaler PICTURE…` is short for `upscaler upscale PICTURE…`.
    All options: `upscaler upscale --help`.
    """


for name, command in COMMANDS.items():
    app.command(name, cls=PanelCommand)(command)

app.add_typer(models.app, name="models")
