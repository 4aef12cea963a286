"""`upscaler upscale`: turns options into a request, which `files` carries out, or `stream` for a pipe."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import PlanError
from . import options
from .groups import expand_groups


@expand_groups
def upscale(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE", help="Name files, folders (with all below them) and glob patterns; - is standard input."
        ),
    ],
    size: options.SizeOptions,
    part: options.PartOptions,
    output: options.OutputOptions,
    encoding: options.FrameOptions,
    model: options.ModelOptions,
    fetching: options.FetchOptions,
    diffusion: options.DiffusionOptions,
    hardware: options.TilingOptions,
    parallel: options.ParallelOptions,
    reading: options.ReadingOptions,
    folders: options.FolderOptions,
    messages: options.DryRunOptions,
) -> None:
    """Make pictures larger."""
    messages.set_up()
    is_piped = "-" in inputs or output.output == "-"
    workers = parallel.worker_options(hardware)
    if folders.watch and (messages.dry_run or is_piped):
        other = "--dry-run" if messages.dry_run else "-"
        raise PlanError(f"--watch works from folder to folder, not with {other}.")
    if parallel.option is not None and (folders.watch or is_piped):
        other = "--watch" if folders.watch else "-"
        raise PlanError(f"{parallel.option} works on files that are there, not with {other}.")
    if encoding.all_frames and is_piped:
        raise PlanError("--all-frames works from file to file, not with -.")
    from .files import Request, make_files
    from .stream import make_streamed

    upscaler = model.upscaler(hardware, fetching, diffusion.diffusion(), seamless=part.seamless)
    writing = encoding.encode_options()
    rules = folders.selection_rules()
    sources = reading.reading(hardware.workspace)
    target = part.choose_part(size.target())
    request = Request(inputs, output, upscaler, target, writing, sources, workers, folders, rules, messages)
    fetching.download(upscaler.models, messages.shows_bars)
    (make_streamed if is_piped else make_files)(request)
