"""`upscaler info`: what a picture is, and what made it."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import set_up_logging, show, table


def info(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A file.")],
    accept_damaged: Annotated[
        bool, typer.Option("--accept-damaged", help="Take what can be read of a broken file.")
    ] = False,
) -> None:
    """Say what a picture is, and what made it."""
    set_up_logging(quiet=False, verbose=False)
    from .. import codecs, recipe
    from .describe import about_picture, about_recipe

    decoded = codecs.decode(picture, accept_damaged=accept_damaged)
    table(None, about_picture(decoded))
    made = recipe.of(decoded)
    if made is not None:
        show("")
        table(None, about_recipe(made))
