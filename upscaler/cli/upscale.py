"""`upscaler upscale`: files, folders, globs or standard input, enlarged."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import bars, say, set_up_logging, show

if TYPE_CHECKING:
    from ..codecs import Output
    from ..pipeline import Upscaler
    from ..target import Target

SIZE, READING, WRITING, COMPUTING, SHOWING = "Size", "Reading", "Writing", "Computing", "Showing"


def upscale(  # the options of a command are its parameters
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT…", help="Files, folders, globs; - is standard input.")],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="A file, a folder for several pictures, or - (standard output)."),
    ] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="A model's name, or the file of a network.")] = "photo",
    scale: Annotated[
        float | None, typer.Option("--scale", "-s", help="Times larger, such as 2, 2.5, 8. Default: the model's.")
    ] = None,
    width: Annotated[int | None, typer.Option(help="Pixels; the height follows.")] = None,
    height: Annotated[int | None, typer.Option(help="Pixels; the width follows.")] = None,
    long_edge: Annotated[int | None, typer.Option(help="Pixels of the longer side.")] = None,
    megapixels: Annotated[float | None, typer.Option(help="Millions of pixels.")] = None,
    fit: Annotated[
        str | None, typer.Option(metavar="WxH", help="As large as fits into this frame; or 4k, 8k …")
    ] = None,
    at_least: Annotated[str | None, typer.Option(metavar="WxH", help="Only as large as covers this frame.")] = None,
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", help="jpg, png, webp, tif, avif … Default: by -o, else the source's."),
    ] = None,
    quality: Annotated[int | None, typer.Option(min=1, max=100, help="Of JPEG (95), WebP (90), AVIF (80).")] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="For WebP and AVIF.")] = False,
    compression: Annotated[int | None, typer.Option(min=0, max=9, help="Of PNG and TIFF: 0 fast, 9 small.")] = None,
    strip: Annotated[bool, typer.Option("--strip", help="Leave out metadata; the colour profile stays.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    accept_damaged: Annotated[
        bool, typer.Option("--accept-damaged", help="Use what can be read of a broken file.")
    ] = False,
    max_megapixels: Annotated[int, typer.Option(min=1, help="Refuse larger sources.")] = 512,
    tile: Annotated[int | None, typer.Option(min=1, help="Side of a tile in source pixels. Default: chosen.")] = None,
    overlap: Annotated[
        int | None, typer.Option(min=0, help="Source pixels that tiles share. Default: the model's.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Tiles computed together. Default: chosen.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", "-d", help="cuda, cuda:1, rocm, xpu, mps, cpu. Default: the best.")
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32, fp16, bf16.")] = "auto",
    workspace: Annotated[
        Path | None, typer.Option(help="Folder for pixels while they are computed. Default: the output's.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    progress: Annotated[bool, typer.Option("--progress", help="Progress bars even when not on a terminal.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Everything.")] = False,
) -> None:
    """Make pictures larger."""
    set_up_logging(quiet, verbose)
    from ..codecs import Output, by_name
    from ..errors import PlanError
    from ..pipeline import Upscaler
    from ..target import Target, parse_size

    target = Target(
        scale=scale,
        width=width,
        height=height,
        long_edge=long_edge,
        megapixels=megapixels,
        fit=None if fit is None else parse_size(fit),
        at_least=None if at_least is None else parse_size(at_least),
    )
    written_as = by_name(format) if format else None
    if format and (written_as is None or written_as.writer is None):
        raise PlanError(f"--format {format}: no format of this name can be written.")
    upscaler = Upscaler(model, device=device, precision=precision, tile=tile, batch=batch, overlap=overlap)
    reading: dict[str, Any] = {
        "accept_damaged": accept_damaged,
        "max_pixels": max_megapixels * 10**6,
        "workspace": workspace,
    }
    template = Output(Path(output or "-"), written_as, quality, lossless, compression, strip, overwrite)
    visible = (progress or sys.stderr.isatty()) and not quiet
    if "-" in inputs or output == "-":
        if len(inputs) > 1 or not (inputs[0] == "-" or Path(inputs[0]).is_file()):
            raise PlanError("-: standard input and output are for one picture. Name one file.")
        _stream(upscaler, inputs[0], target, template, visible, reading)
        return
    _files(upscaler, inputs, output, target, template, visible, reading, dry_run=dry_run, quiet=quiet)


def _files(
    upscaler: Upscaler,
    inputs: list[str],
    output: str | None,
    target: Target,
    template: Output,
    visible: bool,
    reading: dict[str, Any],
    *,
    dry_run: bool,
    quiet: bool,
) -> None:
    from ..jobs.batch import run
    from ..jobs.output import collect

    scale = target.scale or upscaler.model.scale
    tag = f"_{scale:g}x" if scale and target.is_scale else "_upscaled"
    found = collect(inputs, None if output is None else Path(output), template, tag)
    if not quiet:
        for path in found.skipped:
            say(f"{path}: skipped, not a picture.")
    if dry_run:
        _explain(upscaler, found.jobs, target, reading)
        return
    failures = []
    with bars(len(found.jobs), visible) as shown:
        for outcome in run(upscaler, found.jobs, target, progress=shown.tiles, **reading):
            shown.picture_done()
            if outcome.error is not None:
                failures.append(outcome.error)
                if len(found.jobs) > 1:
                    continue
            elif not quiet:
                say(f"{outcome.output}  {outcome.size}  {outcome.seconds:.1f} s")
    for error in failures:
        say(f"error: {error}")
    if failures:
        if len(found.jobs) > 1:
            say(f"{len(failures)} of {len(found.jobs)} pictures failed.")
        raise typer.Exit(1)


def _explain(upscaler: Upscaler, jobs: Any, target: Target, reading: dict[str, Any]) -> None:
    """What would be done, a line a picture."""
    from .. import codecs
    from ..errors import UpscalerError

    failed = False
    for job in jobs:
        try:
            estimate = upscaler.estimate(codecs.decode(job.source, **reading), target=target)
            codecs.check(job.output, estimate.result)
        except UpscalerError as error:
            say(f"error: {error}")
            failed = True
            continue
        info = estimate.engine
        steps = [f"{plan.count} tiles of {plan.tile}, {plan.batch} at a time" for plan in estimate.plans]
        show(
            f"{job.source} {estimate.source} -> {job.output.path} {estimate.result}: model {info.name}, {info.device}, "
            f"{info.precision}; {', then '.join(steps) or 'resized only'}; "
            f"{estimate.memory / 2**20:.0f} MiB at most for tiles"
        )
    if failed:
        raise typer.Exit(1)


def _stream(
    upscaler: Upscaler, source: str, target: Target, template: Output, visible: bool, reading: dict[str, Any]
) -> None:
    """One picture from standard input, or to standard output, or both."""
    from dataclasses import replace

    from .. import codecs

    if source == "-":
        picture = codecs.decode(sys.stdin.buffer.read(), name="standard input", **reading)
    else:
        picture = codecs.decode(source, **reading)
    to_file = str(template.path) != "-"
    if not to_file:
        template = replace(template, format=template.format or codecs.writable(codecs.by_name(picture.format or "")))
    codecs.check(template, upscaler.estimate(picture, target=target).result)
    with bars(1, visible) as shown:
        result = upscaler(picture, target=target, progress=shown.tiles, workspace=reading["workspace"])
    if to_file:
        codecs.encode(result, template)
    else:
        codecs.encode_stream(result, sys.stdout.buffer, template)
