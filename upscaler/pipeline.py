"""The main path: one picture from source to result, tile by tile; the Upscaler, which loads its model once.

Over 300 lines, because the path is to be read in one place.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from . import catalog, codecs, engines, tiling
from .arrays import PixelArray
from .catalog import Model
from .codecs import Source
from .diffusion.options import Diffusion
from .engines import Engine, EnginePool, ImageEngine, ImagePlan
from .errors import PlanError
from .fidelity import LrRmse, back_project, fidelity_after_scale
from .finish import resized, rows_of, write_bands
from .picture import Picture, allocate, bleed, within_source
from .target import Target, passes
from .tiling import Band, Budget, Plan, Size, Tile

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .jobs.outcome import Outcome

Progress = Callable[[int, int], None]
"""Called as tiles are done: how many, of how many in all."""

CPU_MEMORY = 8 * 2**30
"""Bytes that tiles take at most on a CPU without being told: more makes nothing faster and disturbs other programs."""

FIDELITY = 0.5
"""Locks what is coarser than about ten source pixels: colours cannot drift; noise that was removed stays removed."""

GREY_ROWS = 1024

log = logging.getLogger("upscaler")


class Reading(TypedDict, total=False):
    """How a source is read: the options of `codecs.decode`."""

    accept_damaged: bool
    max_pixels: int
    workspace: Path | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would do; nothing has been computed."""

    source: Size
    result: Size
    plans: tuple[Plan | ImagePlan, ...]
    """One a pass; none when the picture is only resized."""
    engine: engines.EngineInfo
    memory: int
    """Bytes expected at most, beyond the loaded libraries and the model."""
    dpi: int | None = None
    """Pixels an inch that the result shall be printed with; None: as its source says."""

    @property
    def together(self) -> int:
        """So many small pictures like this one may be computed in one batch; 1: it is computed alone."""
        first, *others = self.plans or (None,)
        if isinstance(first, Plan) and first.count == 1 and not others and self.engine.channels == 3:
            return first.room
        return 1

    @property
    def alike(self) -> tuple[Size, str] | None:
        """Equal for pictures that may be computed in one batch; None for those that are computed alone."""
        return None if self.together == 1 else (self.plans[0].tile, self.engine.precision)


class Upscaler:
    """Enlarges pictures with one model, loaded at the first call and kept. May be used from several threads."""

    def __init__(
        self,
        model: str = "photo",
        *,
        device: str | None = None,
        precision: str = "auto",
        tile: int | None = None,
        batch: int | None = None,
        overlap: int | None = None,
        blend: float = 1.0,
        fidelity: float | None = None,
        denoise: float | None = None,
        memory: int | None = None,
        workspace: str | Path | None = None,
        diffusion: Diffusion | None = None,
    ) -> None:
        """`model`: a name of the catalog, a file or a URL. `device`: "cuda", "cuda:1", "xpu", "mps", "cpu"; None takes
        the best. `precision`: "auto", "fp32", "fp16", "bf16"; auto is fp32 for 16-bit pictures. `tile`, `overlap` in
        source pixels and `batch` in tiles; None has them chosen. `memory`: bytes for the tiles, and for the model if it
        is a diffusion model; None is what is free. `workspace`: a folder for large pictures while they are computed;
        None is the system's temporary one. `diffusion`: how diffusion models shall work.

        Each in 0..1: `blend` of the model, the rest is a plain filter's; `fidelity`, how much the result is locked
        to the source (see `fidelity.back_project`), None takes FIDELITY for networks that keep the tone; `denoise`, for
        the models that leave it to be chosen, None is 1.

        Raises ModelError when there is no such model, PlanError for a number out of its range.
        """
        for name, value in (("blend", blend), ("fidelity", fidelity), ("denoise", denoise)):
            if value is not None and not 0 <= value <= 1:
                raise PlanError(f"--{name} {value:g}: is not between 0 and 1.")
        self.model = catalog.find(model)
        self._engines = EnginePool(self.model, device, precision, blend, denoise, memory, diffusion)
        self._tile = tile
        self._batch = batch
        self._overlap = overlap
        self._fidelity = fidelity
        self._memory = memory
        self._workspace = None if workspace is None else Path(workspace)

    def __call__(
        self,
        source: Source,
        scale: float | None = None,
        *,
        target: Target | None = None,
        progress: Progress | None = None,
        **reading: Unpack[Reading],
    ) -> Picture:
        """A larger picture, by `scale` or to `target` (default: the model's own scale), with the source's profile and
        metadata; what of it speaks of the size is put right when it is written.

        `source`: a path, bytes, Pillow image, array or tensor (see `Picture.from_array`, `from_tensor`), or Picture.
        `reading`: accept_damaged, max_pixels, workspace, name, as of `codecs.decode`. Raises PictureError, PlanError,
        ModelError, EngineError, OutputError; whatever is raised, nothing half-done is left.
        """
        reading.setdefault("workspace", self._workspace)
        picture = codecs.decode(source, **reading)
        estimate = self.estimate(picture, scale, target=target)
        return self.make(picture, estimate, workspace=reading["workspace"], progress=progress)

    def make(
        self,
        picture: Picture,
        estimate: Estimate,
        *,
        engine: Engine | None = None,
        workspace: Path | None = None,
        progress: Progress | None = None,
    ) -> Picture:
        """What `self.estimate(picture, …)` has said, by an engine of `ahead` perhaps. Raises as a call does."""
        if estimate.dpi is not None:
            picture = replace(picture, metadata=replace(picture.metadata, dpi=(estimate.dpi, estimate.dpi)))
        if not estimate.plans:
            return _resize(picture, estimate.result, workspace)
        first = engine or self._engines.enlarging(picture.depth)
        varies = picture.has_alpha and _varies(picture.pixels[:, :, -1:])
        layers = [2 if varies and isinstance(plan, Plan) else 1 for plan in estimate.plans]
        total = sum(plan.count * times for plan, times in zip(estimate.plans, layers, strict=True))
        count = _Counter(progress, total)
        depth = picture.depth
        departures = []
        source = picture.size
        for plan, size in zip(estimate.plans, _after_each(estimate), strict=True):
            refines = self._engines.refines and plan is estimate.plans[-1]
            passing = self._engines.refining() if refines else first
            fidelity = self._locking(passing)
            if refines:
                fidelity = fidelity_after_scale(
                    fidelity, max(size.width / source.width, size.height / source.height, 1.0)
                )
            job = _Pass(passing, plan, size, depth if plan is estimate.plans[-1] else 16, fidelity)
            picture = job.run(picture, workspace, count)
            departures.append(job.lr_rmse.levels)
        log.info("shrunk back, the result departs from its source by %.2f of 255 levels.", max(departures))
        return replace(picture, lr_rmse=max(departures))

    def estimate(self, source: Source, scale: float | None = None, *, target: Target | None = None) -> Estimate:
        """What `self(source, …)` would do: sizes, tiles, memory. Loads the model. Raises PlanError."""
        picture = codecs.decode(source)
        target = target or Target(scale=scale)
        engine = self._engines.enlarging(picture.depth)
        info = engine.info
        own = self.model.scale or info.needs.scale
        result = target.size(picture.size, own)
        keeps_size = target.is_scale and (target.scale or own) >= 1
        sizes = passes(picture.size, result, info.needs.scale, at_least_one=keeps_size)
        starts = [picture.size, *sizes[:-1]] if sizes else []
        plans = [self._plan(engine, size) for size in starts]
        if sizes and self._engines.refines:
            plans.append(self._plan(self._engines.refining(), result))
        memory = max((plan.memory for plan in plans), default=0)
        dpi = None if target.print is None else target.print.dpi
        return Estimate(picture.size, result, tuple(plans), info, memory, dpi)

    def ahead(self, pictures: Sequence[Picture], estimates: Sequence[Estimate]) -> list[Engine]:
        """For `make`: engines that have the tiles of several small pictures already, computed in one batch. All
        estimates have the same `alike`, which is not None."""
        engine = self._engines.enlarging(pictures[0].depth)
        assert not engines.is_image_engine(engine)
        tiles = []
        for picture, estimate in zip(pictures, estimates, strict=True):
            plan = estimate.plans[0]
            assert isinstance(plan, Plan)
            tiles.append(next(tiling.cut(_parts(picture, None)[0], plan)).pixels[0])
        return engines.ahead(engine, tiles)

    def batch(self, source: str | Path, output: str | Path, **options: Any) -> Iterator[Outcome]:
        """Every picture of a folder into another, its tree mirrored: one outcome each, failures included, as they are
        done. `options` are those of `jobs.batch.run`."""
        from .jobs.batch import run_folder

        yield from run_folder(self, source, output, **options)

    def on(self, device: str | None, model: Model | None = None) -> Upscaler:
        """Another like this one for that device, with nothing loaded. `model`: the same one, from another place."""
        other = copy.copy(self)
        other.model = model or self.model
        other._engines = self._engines.on(device, model)
        return other

    def close(self) -> None:
        """Lets go of the model. A later call loads it again."""
        self._engines.clear()

    def __enter__(self) -> Upscaler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> dict[str, Any]:
        """What its results depend on, as JSON can hold it; the model by its hash. The model's files are fetched."""
        return {
            "model": self.model.name,
            "weights": self._engines.identities,
            "precision": self._engines.precision,
            "blend": self._engines.blend,
            "fidelity": self._fidelity,
            "denoise": self._engines.denoise,
            "diffusion": asdict(self._engines.diffusion) if self._engines.diffusion else None,
        }

    @property
    def models(self) -> list[Model]:
        """Those whose files are needed: the model, and what is mixed or used with it."""
        return self._engines.models

    def _plan(self, engine: Engine | ImageEngine, size: Size) -> Plan | ImagePlan:
        info = engine.info
        memory = info.free_memory if info.device != "cpu" else min(info.free_memory, CPU_MEMORY)
        budget = Budget(self._memory or memory, self._tile, self._batch, self._overlap)
        return engine.plan(size, budget) if engines.is_image_engine(engine) else tiling.plan(size, info.needs, budget)

    def _locking(self, engine: Engine | ImageEngine) -> float:
        """Networks that relight or dehaze are not held to the tone of their sources unless that is asked for."""
        if self._fidelity is not None:
            return self._fidelity
        return FIDELITY if engine.info.keeps_tone else 0.0


def upscale(
    source: Source,
    scale: float | None = None,
    *,
    model: str = "photo",
    device: str | None = None,
    precision: str = "auto",
    **options: Any,
) -> Picture:
    """One picture, enlarged: `Upscaler(model, device=…, precision=…)(source, scale, **options)`, which see.

    For several pictures keep an `Upscaler`: this function loads the model at each call.
    """
    return Upscaler(model, device=device, precision=precision)(source, scale, **options)


@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass of an engine over a picture: what of the path does not change from band to band."""

    engine: Engine | ImageEngine
    plan: Plan | ImagePlan
    size: Size
    """Of the result."""
    depth: int
    fidelity: float
    lr_rmse: LrRmse = field(default_factory=LrRmse)

    def run(self, picture: Picture, workspace: Path | None, count: _Counter) -> Picture:
        """Cut, computed, blended, locked to the source, brought to the exact size, written to a canvas; first alpha,
        then colour."""
        canvas = _canvas(self.size, picture.pixels.shape[2], self.depth, workspace)
        colour, alpha = _parts(picture, workspace)
        full = self.plan.size.scaled(self.plan.scale)
        if alpha is not None and _varies(alpha) and isinstance(self.plan, Plan):
            bands = within_source(self._bands(alpha, count), alpha, self.plan.scale)
            write_bands(resized(bands, full, self.size), canvas[:, :, -1:])
        elif alpha is not None:
            write_bands(resized(rows_of(alpha), self.plan.size, self.size), canvas[:, :, -1:])
        bands = back_project(self._bands(colour, count), colour, self.plan.scale, self.fidelity, self.lr_rmse)
        write_bands(resized(bands, full, self.size), canvas[:, :, :-1] if alpha is not None else canvas)
        return replace(picture, pixels=canvas)

    def _bands(self, pixels: PixelArray, count: _Counter) -> Iterator[Band]:
        if isinstance(self.plan, ImagePlan):
            assert engines.is_image_engine(self.engine)
            return self.engine.run(pixels, self.plan, count.advance)
        assert not engines.is_image_engine(self.engine)
        fitting = engines.adapted(self.engine, pixels.shape[2])
        return tiling.blend(count(engines.run(fitting, tiling.cut(pixels, self.plan))), self.plan)


def _resize(picture: Picture, size: Size, workspace: Path | None) -> Picture:
    """Without a network: for pictures that are as large as they shall be, or larger."""
    if size == picture.size:
        return picture
    canvas = _canvas(size, picture.pixels.shape[2], picture.depth, workspace)
    colour, alpha = _parts(picture, workspace)
    if alpha is not None:
        write_bands(resized(rows_of(alpha), picture.size, size), canvas[:, :, -1:])
    write_bands(resized(rows_of(colour), picture.size, size), canvas[:, :, :-1] if alpha is not None else canvas)
    return replace(picture, pixels=canvas)


def _canvas(size: Size, channels: int, depth: int, workspace: Path | None) -> PixelArray:
    return allocate((size.height, size.width, channels), np.uint16 if depth == 16 else np.uint8, workspace)


def _parts(picture: Picture, workspace: Path | None) -> tuple[PixelArray, PixelArray | None]:
    """Colour, one channel if it is grey, and alpha if there is any."""
    colour, alpha = picture.pixels, None
    if picture.has_alpha:
        alpha = colour[:, :, -1:]
        colour = bleed(colour[:, :, :-1], alpha, workspace)
    if colour.shape[2] == 3 and _is_grey(colour):
        colour = colour[:, :, :1]
    return colour, alpha


def _after_each(estimate: Estimate) -> list[Size]:
    return [*(plan.size for plan in estimate.plans[1:]), estimate.result]


def _varies(alpha: PixelArray) -> bool:
    return bool(alpha.min() != alpha.max())


def _is_grey(colour: PixelArray) -> bool:
    """Whether all three channels are the same everywhere, as in a grey photograph stored as RGB."""
    for y in range(0, len(colour), GREY_ROWS):
        rows = colour[y : y + GREY_ROWS]
        if (rows[:, :, 0] != rows[:, :, 1]).any() or (rows[:, :, 0] != rows[:, :, 2]).any():
            return False
    return True


class _Counter:
    """Reports tiles as they pass."""

    def __init__(self, report: Progress | None, total: int) -> None:
        self._report = report
        self._total = total
        self._done = 0
        if report is not None and total > 0:
            report(0, total)

    def __call__(self, tiles: Iterable[Tile]) -> Iterator[Tile]:
        for tile in tiles:
            self.advance(1)
            yield tile

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        if self._report is not None:
            self._report(self._done, self._total)
