"""`upscaler upscale`: its many options. What is done with files is in `files`, with pipes in `stream`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .console import set_up_logging
from .files import Work, make_files
from .models import have

if TYPE_CHECKING:
    from ..jobs.workers.messages import WorkerOptions


def upscale(  # the options of a command are its parameters
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE", help="Files, folders (with all below them) and glob patterns; - is standard input."
        ),
    ],
    scale: options.Scale = None,
    width: options.Width = None,
    height: options.Height = None,
    long_edge: options.LongEdge = None,
    megapixels: options.Megapixels = None,
    fit: options.Fit = None,
    at_least: options.AtLeast = None,
    print: options.Print = None,
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
    name: Annotated[
        str | None,
        typer.Option(metavar="TEMPLATE", help="Of results' names: {stem}, {suffix}, {scale}, {format}, {parent}."),
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Of folders, take only files like this: *.tif, raw/*.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Of folders, leave out files and folders like this.")
    ] = None,
    overwrite: options.Overwrite = False,
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", metavar="NAME", help="jpg, png, webp, tif, avif … Default: -o's, the source's."),
    ] = None,
    quality: options.Quality = None,
    lossless: options.Lossless = False,
    compression: options.Compression = None,
    strip: Annotated[
        bool, typer.Option("--strip", help="Leave out EXIF, XMP, IPTC; the colour profile stays.")
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="NAME", help="A model's name (see upscaler models), a network's file, or its URL."
        ),
    ] = "photo",
    blend: Annotated[
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
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="For diffusion models: what is in the picture. Default: what they see in it."
        ),
    ] = None,
    negative: Annotated[str | None, typer.Option(metavar="TEXT", help="Likewise: what shall not be in it.")] = None,
    creativity: Annotated[
        float | None, typer.Option(metavar="0..1", help="Likewise: how much may be drawn anew. Default: 0.25.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Likewise: of the way from noise to picture. Default: the model's.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(metavar="N", help="Likewise: how much the text counts. Default: the model's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Likewise: of the noise. Default: 0.")] = None,
    control: options.Control = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the diffusion model first: minutes, worth it for many windows.")
    ] = False,
    allow_pickle: Annotated[
        bool,
        typer.Option("--allow-pickle", help="Load diffusion models that are not safetensors, which can run programs."),
    ] = False,
    offline: options.Offline = False,
    device: options.Device = None,
    devices: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Several at once, a process for each: cuda:0,cuda:1, or all; a name twice."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Work on a Ray cluster: HOST:PORT, or local, one of this machine alone."),
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
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="For tiles, and diffusion models themselves: 8GB, 800MB. Default: what is free."
        ),
    ] = None,
    accept_damaged: Annotated[
        bool, typer.Option("--accept-damaged", help="Take what can be read of a broken file.")
    ] = False,
    max_megapixels: Annotated[
        int, typer.Option(min=1, metavar="N", help="Refuse sources of more million pixels.")
    ] = 512,
    workspace: options.Workspace = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done: sizes, model, device, tiles, memory.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with what arrives in the folders, until interrupted.")
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
    progress: options.Progress = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make pictures larger.

    First the options for the size (one of them at most), then for the output, for the computation, for what is read
    and what is said.
    """
    set_up_logging(quiet, verbose)
    from ..codecs import EncodeOptions
    from ..errors import ModelError, PlanError
    from ..jobs.outcome import SelectionRules
    from ..pipeline import Upscaler
    from ..target import parse_memory, parse_size

    if watch and (dry_run or "-" in inputs or output == "-"):
        raise PlanError(f"--watch: works from folder to folder, not with {'--dry-run' if dry_run else '-'}.")
    workers = None
    if devices is not None or cluster is not None:
        workers = _workers(devices, cluster)
        option = "--devices" if devices is not None else "--cluster"
        if device is not None:
            raise PlanError(f"--device {device}: is one device, and {option} says who computes. Leave out one of them.")
        if watch or "-" in inputs or output == "-":
            raise PlanError(f"{option}: works on files that are there, not with {'--watch' if watch else '-'}.")
    shows_bars = options.shows_bars(quiet, verbose, progress)
    try:
        upscaler = Upscaler(
            model,
            device=device,
            precision=precision,
            tile=tile,
            batch=batch,
            overlap=overlap,
            blend=blend,
            fidelity=fidelity,
            denoise=denoise,
            memory=None if memory is None else parse_memory(memory),
            diffusion=options.diffusion(
                prompt=prompt,
                negative=negative,
                creativity=creativity,
                steps=steps,
                guidance=guidance,
                seed=seed,
                control=control,
                compile=compile or None,
                allow_pickle=allow_pickle or None,
            ),
        )
    except ModelError as error:
        raise PlanError(f"--model {error}") from error
    for needed in upscaler.models:
        have(needed, offline or None, shows_bars, allow_pickle)
    work = Work(
        upscaler=upscaler,
        target=options.target(
            fit,
            at_least,
            print,
            scale=scale,
            width=width,
            height=height,
            long_edge=long_edge,
            megapixels=megapixels,
        ),
        writing=EncodeOptions(options.format_named(format), quality, lossless, compression, strip, overwrite),
        reading={
            "accept_damaged": accept_damaged,
            "max_pixels": max_megapixels * 10**6,
            "workspace": workspace,
        },
        dry_run=dry_run,
        watch=watch,
        include=include or [],
        exclude=exclude or [],
        name=name,
        choice=SelectionRules(
            force,
            retry_failed,
            None if skip_larger_than is None else parse_size(skip_larger_than),
            None if skip_at_least is None else parse_size(skip_at_least),
        ),
        workers=workers,
        report=report,
        bars=shows_bars,
        quiet=quiet,
        verbose=verbose,
    )
    if "-" in inputs or output == "-":
        from .stream import make_streamed

        make_streamed(work, inputs, output)
    else:
        make_files(work, inputs, output)


def _workers(devices: str | None, cluster: str | None) -> WorkerOptions:
    from ..jobs.workers.messages import WorkerOptions

    names = [name.strip() for name in (devices or "").split(",")]
    return WorkerOptions(tuple(name for name in names if name), cluster)
