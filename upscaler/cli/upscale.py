"""`upscaler upscale`. What is done with files is in `files`, with pipes in `stream`."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options
from .files import Request, make_files
from .groups import expand_groups

Pictures = Annotated[
    list[str],
    typer.Argument(
        metavar="PICTURE", help="Name files, folders (with all below them) and glob patterns; - is standard input."
    ),
]


@expand_groups
def upscale(
    inputs: Pictures,
    size: options.SizeOptions,
    output: options.OutputOptions,
    encoding: options.FormatOptions,
    model: options.ModelOptions,
    fetching: options.FetchOptions,
    diffusion: options.DiffusionOptions,
    hardware: options.HardwareOptions,
    tiling: options.TilingOptions,
    parallel: options.ParallelOptions,
    reading: options.ReadingOptions,
    folders: options.FolderOptions,
    messages: options.DryRunOptions,
) -> None:
    """Make pictures larger."""
    messages.set_up()
    is_piped = "-" in inputs or output.output == "-"
    workers = parallel.worker_options(hardware)
    _refuse_odds(is_piped, parallel, folders, messages)
    upscaler = model.upscaler(
        hardware, fetching, diffusion.diffusion(), tile=tiling.tile, batch=tiling.batch, overlap=tiling.overlap
    )
    request = Request(
        inputs,
        output,
        upscaler,
        size.target(),
        encoding.encode_options(encoding.format),
        reading.reading(hardware.workspace),
        workers,
        folders,
        folders.selection_rules(),
        messages,
    )
    fetching.download(upscaler.models, messages.shows_bars)
    if is_piped:
        from .stream import make_streamed

        make_streamed(request)
    else:
        make_files(request)


def _refuse_odds(
    is_piped: bool, parallel: options.ParallelOptions, folders: options.FolderOptions, messages: options.DryRunOptions
) -> None:
    """Raises PlanError for options that make no sense together."""
    from ..errors import PlanError

    if folders.watch and (messages.dry_run or is_piped):
        other = "--dry-run" if messages.dry_run else "-"
        raise PlanError(f"--watch works from folder to folder, not with {other}.")
    if parallel.option is not None and (folders.watch or is_piped):
        other = "--watch" if folders.watch else "-"
        raise PlanError(f"{parallel.option} works on files that are there, not with {other}.")
