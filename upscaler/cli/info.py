"""`upscaler info`: what a picture is, and what made it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
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

    with codecs.open_frames(Path(picture), all_frames=not reading.untrusted, **reading.reading()) as frames:
        told = "" if frames is None else ", ".join(filter(None, (f"{frames.count} {frames.kind}", frames.describe())))
        is_document = frames is not None and frames.format.is_document
        decoded = frames.read(0) if frames is not None and is_document else codecs.decode(picture, **reading.reading())
    if is_document:
        decoded = replace(decoded, name=picture, format=None)
    table(None, about_picture(decoded, told))
    made = recipe.read(decoded)
    if made is not None:
        show("")
        table(None, about_recipe(made))
