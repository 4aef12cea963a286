"""`upscaler upscale`: files, folders and globs, enlarged; what comes from or goes to a pipe is `stream`'s."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import bars, say, set_up_logging, show
from .models import have

if TYPE_CHECKING:
    from ..codecs import Format, Output
    from ..jobs.batch import Choice
    from ..jobs.output import Skipped
    from ..pipeline import Reading, Upscaler
    from ..target import Target


def upscale(  # the options of a command are its parameters
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE", help="Files, folders (with all below them) and glob patterns; - is standard input."
        ),
    ],
    scale: Annotated[
        float | None,
        typer.Option("--scale", "-s", metavar="TIMES", help="Times as large: 2, 2.5, 8 … Default: the model's, 4."),
    ] = None,
    width: Annotated[int | None, typer.Option(metavar="PIXELS", help="This wide; the height follows.")] = None,
    height: Annotated[int | None, typer.Option(metavar="PIXELS", help="This high; the width follows.")] = None,
    long_edge: Annotated[int | None, typer.Option(metavar="PIXELS", help="The longer side this long.")] = None,
    megapixels: Annotated[float | None, typer.Option(metavar="N", help="So many million pixels.")] = None,
    fit: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="As large as fits into 3840x2160, or hd, fullhd, 2k, 4k, 5k, 8k."),
    ] = None,
    at_least: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="Just large enough to cover 3840x2160, or 4k …; larger ones stay as they are."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A file; or a folder, in which an input folder is mirrored; or -, standard output. "
            "Default: beside the source, as photo_4x.jpg.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", metavar="NAME", help="jpg, png, webp, tif, avif … Default: -o's, the source's."),
    ] = None,
    quality: Annotated[
        int | None, typer.Option(min=1, max=100, metavar="N", help="Of JPEG (default 95), WebP (90) and AVIF (80).")
    ] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="WebP and AVIF without any loss.")] = False,
    compression: Annotated[
        int | None, typer.Option(min=0, max=9, metavar="N", help="Of PNG (default 3) and TIFF (6): 0 fast, 9 small.")
    ] = None,
    strip: Annotated[
        bool, typer.Option("--strip", help="Leave out EXIF, XMP, IPTC; the colour profile stays.")
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="NAME", help="A model's name (see upscaler models), a network's file, or its URL."
        ),
    ] = "photo",
    strength: Annotated[
        float, typer.Option(metavar="0..1", help="Of the model's effect; the rest is a plain filter's.")
    ] = 1.0,
    fidelity: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="How much the result is held to the source: 0 not at all, 1 in everything the source shows. "
            "Default: 0.5, colours.",
        ),
    ] = None,
    denoise: Annotated[
        float | None,
        typer.Option(metavar="0..1", help="For realesr-general-x4v3: how much noise is taken out. Default: 1."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch no model, whatever happens.")] = False,
    device: Annotated[
        str | None,
        typer.Option("--device", "-d", metavar="NAME", help="cuda, cuda:1, rocm, xpu, mps, cpu. Default: the best."),
    ] = None,
    precision: Annotated[
        str, typer.Option(metavar="NAME", help="fp32, fp16, bf16, or auto: the fastest that is safe.")
    ] = "auto",
    tile: Annotated[
        int | None, typer.Option(min=1, metavar="PIXELS", help="Largest side of a tile in the source. Default: chosen.")
    ] = None,
    overlap: Annotated[
        int | None, typer.Option(min=0, metavar="PIXELS", help="Shared by tiles in the source. Default: the model's.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Tiles computed together. Default: chosen.")
    ] = None,
    accept_damaged: Annotated[
        bool, typer.Option("--accept-damaged", help="Take what can be read of a broken file.")
    ] = False,
    max_megapixels: Annotated[
        int, typer.Option(min=1, metavar="N", help="Refuse sources of more million pixels.")
    ] = 512,
    workspace: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            writable=True,
            metavar="FOLDER",
            help="For large pictures in the making. Default: the output's.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done: sizes, model, device, tiles, memory.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Make again what an earlier run into the same folder has made.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what an earlier run could not make of its source.")
    ] = False,
    skip_larger_than: Annotated[
        str | None, typer.Option(metavar="WxH", help="Leave out sources that are wider or higher.")
    ] = None,
    skip_at_least: Annotated[
        str | None, typer.Option(metavar="WxH", help="Leave out sources that are as wide and as high, or more.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a row for every picture: .json or .csv.")
    ] = None,
    progress: Annotated[bool, typer.Option("--progress", help="Progress bars, terminal or not.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say everything.")] = False,
) -> None:
    """Make pictures larger.

    First the options for the size (one of them at most), then for the output, for the computation, for what is read
    and what is said.
    """
    set_up_logging(quiet, verbose)
    from ..codecs import Output
    from ..errors import ModelError, PlanError
    from ..jobs.batch import Choice
    from ..pipeline import Upscaler
    from ..target import Target, parse_size

    if quiet and (verbose or progress):
        raise PlanError(f"--quiet and {'--verbose' if verbose else '--progress'}: are opposites. Choose one of them.")
    try:
        upscaler = Upscaler(
            model,
            device=device,
            precision=precision,
            tile=tile,
            batch=batch,
            overlap=overlap,
            strength=strength,
            fidelity=fidelity,
            denoise=denoise,
        )
    except ModelError as error:
        raise PlanError(f"--model {error}") from error
    shows_bars = not quiet and (progress or (sys.stderr is not None and sys.stderr.isatty()))
    for needed in upscaler.models:
        have(needed, offline or None, shows_bars)
    work = Work(
        upscaler=upscaler,
        target=Target(
            scale=scale,
            width=width,
            height=height,
            long_edge=long_edge,
            megapixels=megapixels,
            fit=None if fit is None else parse_size(fit),
            at_least=None if at_least is None else parse_size(at_least),
        ),
        writing=Output(Path(), _format(format), quality, lossless, compression, strip, overwrite),
        reading={
            "accept_damaged": accept_damaged,
            "max_pixels": max_megapixels * 10**6,
            "workspace": workspace,
        },
        dry_run=dry_run,
        choice=Choice(
            force,
            retry_failed,
            None if skip_larger_than is None else parse_size(skip_larger_than),
            None if skip_at_least is None else parse_size(skip_at_least),
        ),
        report=report,
        bars=shows_bars,
        quiet=quiet,
        verbose=verbose,
    )
    if "-" in inputs or output == "-":
        from .stream import make_streamed

        make_streamed(work, inputs, output)
    else:
        _make_files(work, inputs, output)


MENTIONED = 20
"""Files that are named one by one when they are skipped for the same reason."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a command does with every picture."""

    upscaler: Upscaler
    target: Target
    writing: Output
    """Its path is not used."""
    reading: Reading
    dry_run: bool
    choice: Choice
    report: Path | None
    bars: bool
    quiet: bool
    verbose: bool


def _make_files(work: Work, inputs: list[str], output: str | None) -> None:
    """Raises SystemExit(1) when a picture failed; all failures have been said by then, however it ends."""
    from ..jobs import report
    from ..jobs.batch import describe, run
    from ..jobs.output import collect

    if work.report is not None:
        report.check(work.report)
    found = collect(inputs, output, work.writing, _tag(work))
    if not work.quiet:
        _say_skipped(found.skipped, work.verbose)
    start, outcomes = time.perf_counter(), []
    try:
        with (
            bars([job.source.name for job in found.jobs], work.bars and not work.dry_run) as shown,
            closing(
                run(
                    work.upscaler,
                    found.jobs,
                    work.target,
                    folder=found.folder,
                    choice=work.choice,
                    progress=lambda source, done, total: shown.tiles(source.name, done, total),
                    dry_run=work.dry_run,
                    **work.reading,
                )
            ) as done,
        ):
            for outcome in done:
                shown.picture_done()
                outcomes.append(replace(outcome, estimate=None))  # there may be ten thousand
                if work.dry_run and outcome.estimate is not None:
                    show(describe(outcome.estimate, str(outcome.source), str(outcome.output)))
                elif outcome.skipped is not None and not work.quiet:
                    say(f"{outcome.source}: skipped, {outcome.skipped}.")
                elif outcome.error is None and not work.quiet and not outcome.was_done:
                    say(f"{outcome.output}  {outcome.size}  {outcome.seconds:.1f} s")
    finally:
        failures = [outcome.error for outcome in outcomes if outcome.error is not None]
        for error in failures:
            say(f"error: {error}")
        if outcomes and not work.quiet and not work.dry_run and (len(found.jobs) > 1 or outcomes[0].was_done):
            say(report.summary(outcomes, len(found.skipped), time.perf_counter() - start))
        if work.dry_run and failures and len(found.jobs) > 1:
            say(f"{len(failures)} of {len(found.jobs)} pictures failed.")
        if work.report is not None:
            report.write(work.report, outcomes, found.skipped)
    if failures:
        raise SystemExit(1)


def _tag(work: Work) -> str:
    """What is put after the names of results that are written beside their sources."""
    scale = work.target.scale or work.upscaler.model.scale
    return f"_{scale:g}x" if work.target.is_scale and scale else "_upscaled"


def _say_skipped(skipped: tuple[Skipped, ...], verbose: bool) -> None:
    """A line for each file; for the first MENTIONED of a reason, unless verbose."""
    for reason in dict.fromkeys(item.reason for item in skipped):
        paths = [item.path for item in skipped if item.reason == reason]
        for path in paths if verbose else paths[:MENTIONED]:
            say(f"{path}: skipped, {reason}.")
        if not verbose and len(paths) > MENTIONED:
            say(f"{len(paths) - MENTIONED} more: skipped, {reason}.")


def _format(name: str | None) -> Format | None:
    from ..codecs import FORMATS, by_name
    from ..errors import PlanError

    if name is None:
        return None
    format = by_name(name.lstrip("."))
    if format is None or format.writer is None:
        known = ", ".join(format.suffixes[0][1:] for format in FORMATS if format.writer)
        raise PlanError(f"--format {name}: cannot be written. Choose one of {known}.")
    return format
