"""The public facade: `Upscaler`, `upscale` and `compare`. Pictures from text are `text2image.text_to_image`'s."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from . import catalog
from .codecs import DEFAULT_OPTIONS, EncodeOptions, Source
from .diffusion.options import Diffusion
from .errors import PictureError, PlanError, first_line
from .faces import FaceOptions
from .picture import Picture
from .pipeline import Estimate, Pipeline, PipelineOptions, Reading
from .progress import ProgressCallback
from .target import Target
from .tiling import Crop

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .comparison import Comparison
    from .jobs.outcome import Outcome, SelectionRules
    from .jobs.stages import ProgressFactory


class Upscaler:
    """Enlarges pictures with one model, which is loaded at the first call and kept. May be used from several threads.

    with Upscaler("photo") as upscaler:
        picture = upscaler("photo.jpg")                   # by the model's own scale, 4
        picture = upscaler("photo.jpg", 2.5)              # 2.5 times as wide and as high
        picture = upscaler("photo.jpg", target=Target(width=3840))
        picture = upscaler("photo.jpg", crop="25%,25%,50%x50%")  # only that part
        picture.save("large.jpg", quality=90)
        upscaler.estimate("photo.jpg", 8).memory          # bytes; nothing is computed
        for outcome in upscaler.batch("photos/", "large/", scale=2):
            outcome.source, outcome.error or outcome.size
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = "photo",
        *,
        device: str | None = None,
        precision: str = "auto",
        backend: str = "auto",
        tile: int | None = None,
        batch: int | None = None,
        overlap: int | None = None,
        blend: float = 1.0,
        fidelity: float | None = None,
        denoise: float | Literal["auto"] | None = None,
        memory: int | None = None,
        shrink: float | Literal["auto"] | None = None,
        seamless: bool = False,
        workspace: str | Path | None = None,
        diffusion: Diffusion | None = None,
        faces: FaceOptions | bool | None = None,
    ) -> None:
        """Takes a name of the catalog, a file or a URL as `model`, or a list of these, each of which works on what the
        one before it made; other arguments are fields of `PipelineOptions`. True
        for `faces` is FaceOptions().

        Raises ModelError for an unknown model, PlanError for a number out of its range or one that does not suit the
        model.
        """
        last, before = _split_chain(model)
        options = PipelineOptions(
            before=before,
            device=device,
            precision=precision,
            backend=backend,
            tile=tile,
            batch=batch,
            overlap=overlap,
            blend=blend,
            fidelity=fidelity,
            denoise=denoise,
            memory=memory,
            shrink=shrink,
            seamless=seamless,
            workspace=None if workspace is None else Path(workspace),
            diffusion=diffusion,
            faces=FaceOptions() if faces is True else faces or None,
        )
        self._pipeline = Pipeline(last, options)

    @overload
    def __call__(
        self,
        source: Source,
        scale: float | None = None,
        *,
        target: Target | None = None,
        crop: Crop | str | None = None,
        progress: ProgressCallback | None = None,
        **reading: Unpack[Reading],
    ) -> Picture: ...

    @overload
    def __call__(
        self,
        source: list[Any] | tuple[Any, ...],
        scale: float | None = None,
        *,
        target: Target | None = None,
        crop: Crop | str | None = None,
        progress: ProgressCallback | None = None,
        **reading: Unpack[Reading],
    ) -> list[Picture]: ...

    def __call__(
        self,
        source: Source | list[Any] | tuple[Any, ...],
        scale: float | None = None,
        *,
        target: Target | None = None,
        crop: Crop | str | None = None,
        progress: ProgressCallback | None = None,
        **reading: Unpack[Reading],
    ) -> Picture | list[Picture]:
        """Enlarges a picture by `scale` or to `target` (default: the model's own scale).

        `crop`: the only part of it that is made, the same as in the whole result: a Crop, or a text such as
        "100,50,640x480" or "25%,25%,50%x50%", of the upright source.

        `source` is a path, a web address, bytes, a file that is open, a Pillow image, an array or tensor (see
        `Picture.from_array`, `from_tensor`), or a Picture; or a list of these, which gives a list. The result keeps the
        source's profile and metadata; saving it corrects what they say of the size.
        `reading`: accept_damaged, max_pixels, workspace, name and untrusted, see `codecs.decode`.

        Raises PictureError, PlanError, ModelError, EngineError and OutputError; nothing unfinished is left.
        """
        wanted = _target(scale, target, crop)
        if isinstance(source, list | tuple):
            return [self(each, target=wanted, progress=progress, **reading) for each in source]
        with _local(source) as file:
            if file is not source:
                reading.setdefault("name", str(source))
            return self._pipeline.run(file, wanted, progress=progress, **reading)

    def estimate(
        self,
        source: Source,
        scale: float | None = None,
        *,
        target: Target | None = None,
        crop: Crop | str | None = None,
    ) -> Estimate:
        """Returns what `self(source, …)` would take: sizes, tiles, memory. Loads the model. Raises PlanError."""
        with _local(source) as file:
            return self._pipeline.estimate(file, _target(scale, target, crop))

    def batch(
        self,
        source: str | Path,
        output: str | Path,
        *,
        scale: float | None = None,
        target: Target | None = None,
        crop: Crop | str | None = None,
        writing: EncodeOptions = DEFAULT_OPTIONS,
        devices: Sequence[str] = (),
        cluster: str | None = None,
        rules: SelectionRules | None = None,
        progress: ProgressFactory | None = None,
        **reading: Unpack[Reading],
    ) -> Iterator[Outcome]:
        """Enlarges every picture of a folder into another folder with the same tree; either may be at a URL.

        Yields one outcome for each picture as it is done, failures included. `writing` says how results are written;
        for `devices` and `cluster` see `WorkerOptions`. Raises as `jobs.batch.run`, and PlanError when there is nothing
        to do. There are more than eight parameters, because a user may ask that much of a job.
        """
        from .inputs.discover import find_jobs
        from .inputs.storage import is_folder, parse_location
        from .jobs.batch import run
        from .jobs.workers.messages import WorkerOptions

        for argument, folder in (("source", source), ("output", output)):
            if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
                raise PlanError("this names no folder. Name one.", argument=argument, value=repr(folder))
        if not is_folder(parse_location(source)):
            raise PlanError(f"{source}: is not a folder. For one picture, call the Upscaler.")
        found = find_jobs([str(source)], f"{output}{os.sep}", writing, "")
        yield from run(
            self._pipeline,
            found.jobs,
            _target(scale, target, crop),
            folder=found.folder,
            rules=rules,
            workers=WorkerOptions(tuple(devices), cluster) if devices or cluster else None,
            progress=progress,
            **reading,
        )

    def enlarge_file(
        self,
        source: str | Path,
        output: str | Path,
        *,
        scale: float | None = None,
        target: Target | None = None,
        writing: EncodeOptions = DEFAULT_OPTIONS,
        progress: ProgressFactory | None = None,
        **reading: Unpack[Reading],
    ) -> Outcome:
        """Enlarges a file into another of the same kind, with all frames of an animation and all pages of a document.

        Frames that are done are kept beside the output until all are, and a call that was interrupted goes on where it
        was. Returns the outcome, whose `error` is None when the output is complete. Raises PlanError when the output
        can hold one picture only, and as `jobs.batch.run`.
        """
        from .inputs.discover import find_jobs
        from .jobs.batch import run

        found = find_jobs([os.fspath(source)], os.fspath(output), replace(writing, all_frames=True), "")
        (outcome,) = run(self._pipeline, found.jobs, target or Target(scale=scale), progress=progress, **reading)
        return outcome

    def close(self) -> None:
        """Frees the model. A later call loads it again."""
        self._pipeline.close()

    def __enter__(self) -> Upscaler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def upscale(
    source: Source,
    scale: float | None = None,
    *,
    model: str = "photo",
    device: str | None = None,
    precision: str = "auto",
    **options: Any,
) -> Picture:
    """Enlarges one picture: `Upscaler(model, device=…, precision=…)(source, scale, **options)`.

    For several pictures keep an `Upscaler`, since this function loads the model at each call.
    """
    return Upscaler(model, device=device, precision=precision)(source, scale, **options)


def fetch(
    name: str | os.PathLike[str], *, progress: ProgressCallback | None = None, offline: bool | None = None
) -> Path:
    """Fetches a model, so that it is here when there is no connection; returns the path of its file or folder.

    `name` is what `Upscaler` takes as a model; `upscaler.models()` returns those of the catalog. `progress` counts
    bytes. `offline`: whether fetching is forbidden; None is what the environment says. Raises ModelError.
    """
    return catalog.fetch_model(catalog.find(name), progress, offline=offline)


@contextmanager
def _local(source: Source) -> Iterator[Source]:
    """Yields a source, or a copy of the file at a web address, which is deleted afterwards. Raises PictureError."""
    from .inputs.storage import local_copy, parse_location
    from .inputs.web import SCHEMES

    with ExitStack() as stack:
        if isinstance(source, str) and source.startswith(SCHEMES):
            try:
                source = stack.enter_context(local_copy(parse_location(source)))
            except OSError as error:
                raise PictureError(f"{source}: cannot be fetched ({error.strerror or first_line(error)}).") from error
        yield source


def _split_chain(model: Any) -> tuple[Any, tuple[Any, ...]]:
    """Returns the last of several models, and those before it, which are named by texts. Raises PlanError for none."""
    named = list(model) if isinstance(model, list | tuple) else [model]
    if not named:
        raise PlanError("name at least one.", argument="model", value=repr(model))
    return named[-1], tuple(os.fspath(each) if isinstance(each, os.PathLike) else each for each in named[:-1])


def compare(
    source: Source,
    models: Iterable[str] = (),
    *,
    scale: float | None = None,
    crops: int | Iterable[Crop | str] = 1,
    denoise: Sequence[float | Literal["auto"]] = (),
    fidelity: Sequence[float] = (),
    blend: Sequence[float] = (),
    progress: ProgressCallback | None = None,
    **options: Any,
) -> Comparison:
    """Makes parts of a picture by several models, for `comparison.make_sheet` and `comparison.make_page`.

        found = upscaler.compare("photo.jpg", ["photo", "faithful"], crops=3)
        for column in found.columns:
            column.label, column.whole_seconds, column.cells[0].lr_rmse

    `models`: without any, the networks that are on this machine. `scale`: by default the largest of their own. `crops`:
    parts of the upright source, or how many of the most detailed ones. Each value of `denoise`, `fidelity` and `blend`
    is a column of its own. `options`: other fields of `PipelineOptions`. Raises as `Upscaler` does.
    """
    from . import codecs, comparison

    columns = comparison.find_columns(
        tuple(models) or comparison.default_models(),
        PipelineOptions(**options),
        {"denoise": denoise, "fidelity": fidelity, "blend": blend},
    )
    parts = () if isinstance(crops, int) else [Crop.parse(each) if isinstance(each, str) else each for each in crops]
    count = crops if isinstance(crops, int) else 1
    picture = codecs.decode(source)
    return comparison.compare(picture, columns, scale=scale, crops=parts, count=count, progress=progress)


def _target(scale: float | None, target: Target | None, crop: Crop | str | None) -> Target:
    """Returns the target that arguments ask for. Raises PlanError when they cannot be read."""
    target = target or Target(scale=scale)
    if crop is None:
        return target
    return replace(target, crop=crop if isinstance(crop, Crop) else Crop.parse(crop))
