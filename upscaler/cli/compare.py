"""`upscaler compare`: makes parts of a picture by several models, as a sheet or as a page with a slider."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from . import options
from .console import Bars, say
from .groups import expand_groups


@expand_groups
def compare(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="Name a file.")],
    parts: options.ComparedPartsOptions,
    sheet: options.SheetOptions,
    encoding: options.EncodingOptions,
    columns: options.ColumnOptions,
    fetching: options.FetchOptions,
    hardware: options.HardwareOptions,
    reading: options.ReadingOptions,
    messages: options.MessageOptions,
) -> None:
    """Compare models on parts of a picture, side by side."""
    messages.set_up()
    from .. import codecs, comparison
    from ..files import atomic_write
    from ..jobs.stages import read
    from ..tiling import Size

    writing, path, page = encoding.encode_options(), sheet.sheet(picture), sheet.html
    if path is not None:
        codecs.check(path, writing, Size(1, 1))
    if page is not None:
        comparison.check_page(page, encoding.overwrite)
    crops, compared = parts.parts(), columns.columns(hardware, fetching)
    for column in compared:
        fetching.download(column.pipeline.models, messages.shows_bars)
    source = read(Path(picture), **reading.reading(hardware.workspace))
    with closing(Bars([source.name], messages.shows_bars)) as bars:
        found = comparison.compare(
            source,
            compared,
            scale=parts.scale,
            crops=crops,
            count=parts.crops,
            workspace=hardware.workspace,
            progress=bars.progress(source.name),
        )
    if path is not None:
        codecs.encode(comparison.make_sheet(found), path, writing)
    if page is not None:
        text = comparison.make_page(found)
        atomic_write(page, lambda part: part.write_text(text, encoding="utf-8"))
    for written in filter(None, (path, page)):
        if not messages.quiet:
            say(str(written))
        if sheet.open:
            typer.launch(str(written))
