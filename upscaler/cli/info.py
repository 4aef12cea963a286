"""`upscaler info`: what a picture is, and what made it."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import show, table
from .groups import expand_groups
from .options import ReadingOptions, VerboseOptions


@expand_groups
def info(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="Name a file.")],
    reading: ReadingOptions,
    messages: VerboseOptions,
) -> None:
    """Say what a picture is, and what made it."""
    messages.set_up()
    from .. import codecs, recipe
    from .describe import about_picture, about_recipe

    decoded = codecs.decode(picture, **reading.reading())
    table(None, about_picture(decoded))
    made = recipe.read(decoded)
    if made is not None:
        show("")
        table(None, about_recipe(made))
