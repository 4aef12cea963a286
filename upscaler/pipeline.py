"""The main path: one picture from its source to the larger one. `Pipeline.run` is the table of contents; read it first.

A finished picture is written by `codecs.encode`; many pictures are for `jobs`, and the public names for `api`. The
module is longer than others so that the whole path can be read in one place.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

import numpy as np

from . import catalog, codecs, engines, surface, tiling
from .catalog import Model
from .codecs import Source
from .engines import Engine, EngineOptions, EnginePool, ImageEngine, ImagePlan, Pass
from .errors import DeviceLost, EngineError, PlanError
from .geometry import Step, find_windows
from .notices import warn
from .picture import Picture, Wear, make_canvas, measure_detail, measure_wear, reduce_to, split_layers, take_part
from .progress import ProgressCallback
from .surface import Upload, cut_bands, resize_bands, write_bands
from .target import Target, passes
from .tiling import Budget, Plan, Region, Size, Tile, TileRequirements, Window
from .validation import check_arguments, check_whole

if TYPE_CHECKING:
    from typing_extensions import Unpack

FIDELITY = 0.5
"""Holds the result to whatever is coarser than about ten source pixels: colours cannot drift, and noise that the model
removed does not come back."""

PART_ALONE = "%s: %s draws anew, and sees only the part and its surroundings. In the whole it may look different."

CLEANS, REFINES, SHRINKS = -1, -2, -3
"""The passes that remove noise and compression before the models, that draw details anew after them, and that shrink
the source before all others."""

SHRINKING: Final = engines.ResampleEngine(1)
"""The engine of the pass that shrinks: it changes nothing, and its result is brought to the smaller size."""

log = logging.getLogger("upscaler")


class Reading(TypedDict, total=False):
    """The options of `codecs.decode`, with which a source is read."""

    accept_damaged: bool
    max_pixels: int
    workspace: Path | None
    name: str | None
    untrusted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions(EngineOptions):
    """Options for enlarging. None leaves a choice to the pipeline. Raises PlanError for a number out of its range.

    PipelineOptions(device="cuda", tile=512, fidelity=0.8)
    """

    tile: int | None = None
    """Source pixels a side of a tile."""
    batch: int | None = None
    """Tiles that are computed together."""
    overlap: int | None = None
    """Source pixels that neighbouring tiles share."""
    fidelity: float | None = None
    """How firmly the result is held to the source, 0..1; see `surface.back_project`. None is FIDELITY for models that
    keep the tone of their source, and 0 for those that relight or dehaze."""
    seamless: bool = False
    """Whether pictures are textures, which are repeated on all sides; results can be repeated as well."""
    shrink: float | Literal["auto"] | None = None
    """Share of its width and height to which the source is shrunk first, more than 0 and at most 1; "auto" is the size
    at which it still holds its detail, see `picture.measure_detail`. The model's own scale is then that of the shrunk
    source; a size that is asked for stays."""
    workspace: Path | None = None
    """Folder for large pictures while they are computed. None is the system's folder for temporary files."""

    def __post_init__(self) -> None:
        EngineOptions.__post_init__(self)
        check_arguments(self, **dict.fromkeys(("tile", "batch", "overlap"), check_whole(-(10**9), 10**9)))
        engines.check_share("fidelity", self.fidelity)
        if self.shrink != "auto":
            engines.check_share("shrink", self.shrink)
            if self.shrink == 0:
                raise PlanError("nothing would be left.", argument="shrink", value="0")


@dataclass(frozen=True, slots=True)
class Estimate:
    """The sizes, tiles and memory that enlarging a picture takes. Nothing has been computed."""

    source: Size
    result: Size
    """The size of what is made: the whole result, or of its part."""
    plans: tuple[Plan | ImagePlan, ...]
    """One for each pass. Empty when the picture is only resized."""
    engine: engines.EngineInfo
    memory: int
    """Bytes needed at most, beyond the loaded libraries and the model."""
    denoise: float = 0.0
    """Share of noise and compression that is removed before the first pass enlarges, 0..1; the largest one if they
    differ from place to place."""
    wear: Wear | None = None
    """The measured noise and compression, if that decides how much is removed."""
    dpi: int | None = None
    """Pixels an inch that the result is to be printed with. None keeps what the source says."""
    depth: int = 8
    """Bits a sample of the source: 8 or 16. Precisions may follow from it."""
    crop: Region | None = None
    """The part of the source that is made, in its pixels. None: all of it."""
    members: tuple[int, ...] = ()
    """The model of each pass: its place in the chain of models, `CLEANS` or `REFINES`."""
    windows: tuple[Window, ...] = ()
    """The part of the picture that is there before the first pass and after each, or before and after it is resized."""
    restores_faces: bool = False
    """Whether faces are looked for, and restored in the result."""

    @property
    def max_batch(self) -> int:
        """How many small pictures with the same `batch_key` may be computed as one batch; 1 means each alone."""
        most = [plan.max_batch if isinstance(plan, Plan) and plan.count == 1 else 1 for plan in self.plans]
        enlarges_once = len(most) == (2 if self.denoise else 1)
        is_whole = self.windows[0].is_whole and self.windows[-1].is_whole
        return min(most) if enlarges_once and self.engine.channels == 3 and is_whole else 1

    @property
    def batch_key(self) -> tuple[int | Size, ...] | None:
        """Equal for pictures that may be computed in one batch. None for a picture that is computed alone."""
        return None if self.max_batch == 1 else (self.depth, *(plan.tile for plan in self.plans))


class Pipeline:
    """Enlarges pictures with one model, or with several in turn, loaded at their first use. May be used from several
    threads, and can be sent to another process, where it loads its own models."""

    def __init__(self, model: Model | str | os.PathLike[str], options: PipelineOptions | None = None) -> None:
        """Finds `model`: a model of the catalog, its name, a file or a URL; with `options.before`, the last of several.

        The hub is asked what a repository of it holds, unless that is known. Raises ModelError for an unknown model,
        PlanError for options that do not suit it.
        """
        self.model = catalog.settle(model if isinstance(model, Model) else catalog.find(model))
        self.options = options or PipelineOptions()
        if self.options.seamless and self.model.facts.takes_diffusion:
            raise PlanError(
                f"{self.model.name} is a diffusion model, which does not repeat itself. Choose a network.",
                argument="seamless",
            )
        self._engines = EnginePool(self.model, self.options)

    def __reduce__(self) -> tuple[object, ...]:
        return Pipeline, (self.model, self.options)

    def run(
        self,
        source: Source,
        target: Target | None = None,
        *,
        estimate: Estimate | None = None,
        tiles: Sequence[Tile] = (),
        progress: ProgressCallback | None = None,
        **reading: Unpack[Reading],
    ) -> Picture:
        """Enlarges a picture to `target` (default: the model's own scale). Colour profile and metadata are kept.

        It decodes the source, plans its passes, and in each pass cuts the picture into tiles, runs them, blends them,
        holds the result to the source, and brings it to its size and depth. `codecs.encode` writes what it returns.

        `estimate`: what `self.estimate(source, target)` returned, if it was asked before. `tiles`: the only one of each
        pass, if `compute_tiles` has computed them. `progress` counts tiles, and steps of diffusion models. `reading`:
        see `codecs.decode`. Raises PictureError, PlanError, ModelError, EngineError, OutputError.
        """
        workspace = reading.setdefault("workspace", self.options.workspace)
        picture = codecs.decode(source, **reading)
        estimate = estimate or self.estimate(picture, target)
        if estimate.dpi is not None:
            picture = replace(picture, metadata=replace(picture.metadata, dpi=(estimate.dpi, estimate.dpi)))
        whole = picture
        steps = self._passes(picture, estimate)
        advance = _count(progress, sum(step.plan.count * (1 + step.computes_alpha) for step in steps))
        picture, is_grey = _take_part(picture, estimate, workspace)
        if not steps:
            return self._restore_faces(whole, _resize(picture, estimate, workspace), estimate, workspace)

        departures = []
        for step, tile in zip(steps, tiles or repeat(None), strict=False):
            canvas = make_canvas(picture, step.result.size, step.depth, workspace)
            for layer in split_layers(picture, workspace, is_grey):
                part = canvas[:, :, layer.channels]
                if layer.is_alpha and not step.computes_alpha:
                    write_bands(resize_bands(cut_bands(Upload(layer.pixels)), step.source, step.result), part)
                else:
                    departures.append(step.enlarge(layer, None if layer.is_alpha else tile, part, advance))
            picture = replace(picture, pixels=canvas)

        lr_rmse = max(departures)
        if steps[-1].share is None:
            log.info("shrunk back, the result differs from its source by %.2f of 255 levels.", lr_rmse)
        return self._restore_faces(whole, replace(picture, lr_rmse=lr_rmse), estimate, workspace)

    def estimate(self, source: Source, target: Target | None = None, wear: Wear | None = None) -> Estimate:
        """Estimates what `self.run(source, target)` takes. Loads the model. `wear`: what another estimate of the same
        picture has measured. Raises PlanError for an impossible size."""
        if not isinstance(target, Target | None):
            raise PlanError("this is not a Target.", argument="target", value=repr(target))
        picture = codecs.decode(source)
        target = target or Target()
        info = self._engines.enlarger(picture.depth, picture.size.pixels).info
        start = self._shrunk(picture)
        own = math.prod(model.scale or needs.scale for model, needs in self._chain(picture))
        share = start.width / picture.size.width
        result = target.size(picture.size, own * share)
        window = target.window(picture.size, result)
        keeps_size = target.is_scale and (target.scale or own * share) >= share and self.model.kind != "resample"
        members, sizes = self._route(picture, start, result, keeps_size)
        denoise, wear = self._choose_denoise(picture, start, wear) if members else (0.0, None)
        if denoise:
            members, sizes = [CLEANS, *members], [start, *sizes]
        if members and start != picture.size:
            members, sizes = [SHRINKS, *members], [picture.size, *sizes]
        found = list(self._steps(picture, sizes, members))
        steps = [step for _, step in found] or [Step(picture.size, TileRequirements(1, 0))]
        is_repeated = self.options.seamless
        if is_repeated and not all(step.needs.can_be_tiled for step in steps):
            raise PlanError(f"{info.name} must see the whole picture. Choose another network.", argument="seamless")
        windows = find_windows(window, steps, picture.has_alpha, is_repeated)
        plans = [
            self._plan(engine, part.size, is_model=member not in (CLEANS, SHRINKS))
            for member, (engine, _), part in zip(members, found, windows, strict=False)
        ]
        if target.crop is not None and any(isinstance(plan, ImagePlan) for plan in plans):
            warn(PART_ALONE, picture.name, self.model.name)
        for plan in plans:
            if isinstance(plan, Plan) and plan.count > 1:
                again = 100 * (plan.computed - 1)
                log.debug("%d tiles of %s on %s: %.1f %% is computed twice.", plan.count, plan.tile, plan.size, again)
        memory = max((plan.memory for plan in plans), default=0)
        return Estimate(
            picture.size,
            window.size,
            tuple(plans),
            info,
            memory,
            denoise,
            wear,
            dpi=None if target.print is None else target.print.dpi,
            depth=picture.depth,
            crop=None if target.crop is None else target.crop.region(picture.size),
            members=tuple(members),
            windows=windows,
            restores_faces=self.options.faces is not None,
        )

    def compute_tiles(self, pictures: Sequence[Picture], estimates: Sequence[Estimate]) -> list[list[Tile]]:
        """Computes the tiles of several small pictures as one batch in each pass, for `run` to take.

        All estimates have the same `batch_key`, which is not None. When a tile cannot be computed, there are none, and
        `run` finds out which picture is at fault.
        """
        found: list[list[Tile]] = [[] for _ in pictures]
        for index, step in enumerate(self._passes(pictures[0], estimates[0])):
            if index:  # enlarge what has been cleaned
                firsts = [
                    replace(
                        each,
                        plans=each.plans[:index],
                        result=each.source,
                        windows=each.windows[: index + 1],
                        restores_faces=False,
                    )
                    for each in estimates
                ]
                pictures = [
                    self.run(picture, estimate=first, tiles=tiles)
                    for picture, first, tiles in zip(pictures, firsts, found, strict=True)
                ]
            engine = step.engine
            assert not engines.is_image_engine(engine)
            colours = [split_layers(picture, None)[-1].pixels for picture in pictures]
            plans = [estimate.plans[index] for estimate in estimates]
            try:
                computed = engines.compute_together(engine, colours, plans)
            except DeviceLost:
                raise
            except EngineError as error:
                log.info("%d small pictures cannot be computed together (%s).", len(pictures), error)
                return [[] for _ in pictures]
            for tiles, tile, pixels in zip(found, computed, colours, strict=True):
                tiles.append(Tile(tile.region, engines.reduce_channels(tile.pixels, pixels.shape[2])))
        return found

    def on(self, device: str | None, model: Model | None = None) -> Pipeline:
        """Returns a pipeline for another device with the same options, nothing loaded. `model`: the same, if its file
        is another one there."""
        return Pipeline(model or self.model, replace(self.options, device=device))

    def close(self) -> None:
        """Frees the model. A later call loads it again."""
        self._engines.clear()

    @property
    def scale(self) -> int | None:
        """How many times larger results are unless another size is asked for; None if only files tell."""
        scales = [model.scale for model in self._engines.chain]
        return None if None in scales else math.prod(scale or 1 for scale in scales)

    @property
    def models(self) -> list[Model]:
        """The models whose files are needed: the pipeline's own, and those that are mixed or used with it."""
        return self._engines.models

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that results depend on, as JSON can hold it; weights by their hashes. Fetches missing weights."""
        options = self.options
        is_diffusion = self.model.facts.takes_diffusion
        chosen: dict[str, Any] = {} if options.backend == "auto" else {"backend": options.backend}
        if options.before:
            chosen["before"] = list(options.before)
        if options.faces is not None:
            chosen["faces"] = asdict(options.faces)
        windows = {"tile": options.tile, "overlap": options.overlap, "memory": options.memory}
        return {
            "model": self.model.name,
            "weights": self._engines.identities,
            "precision": options.precision,
            "blend": options.blend,
            "fidelity": options.fidelity,
            "denoise": options.denoise,
            "shrink": options.shrink,
            "seamless": options.seamless,
            **chosen,
            "diffusion": asdict(options.diffusion) if options.diffusion else None,
            **{name: value for name, value in windows.items() if is_diffusion and value is not None},
        }

    def _restore_faces(self, source: Picture, result: Picture, estimate: Estimate, workspace: Path | None) -> Picture:
        """Returns the result with restored faces, if that was asked for. They are found in the whole of the source."""
        if not estimate.restores_faces:
            return result
        restorer = self._engines.face_restorer(source.depth)
        return restorer.restore(source, result, estimate.windows[-1], workspace)

    def _shrunk(self, picture: Picture) -> Size:
        """Returns the size to which a picture is shrunk first; its own if it is not."""
        share = self.options.shrink
        if share == "auto":
            share = measure_detail(picture.colour)
            log.info("the picture holds its detail at %.0f %% of its width and height.", 100 * share)
        if share in (None, 1):
            return picture.size
        return Size(*(max(round(length * share), 1) for length in (picture.size.width, picture.size.height)))

    def _choose_denoise(self, picture: Picture, size: Size, known: Wear | None) -> tuple[float, Wear | None]:
        """Returns the share of noise and compression to remove from a picture when it has been shrunk to `size`, and
        what was measured of them if that decides."""
        share, wear = self._engines.denoise, None
        if share == "auto":
            if size == picture.size:
                wear = known or measure_wear(picture.colour, picture.quality)
            else:  # the blocks of JPEG cannot be told any more
                wear = known or measure_wear(reduce_to(picture.colour, size))
            share = wear.strength
            log.info("%s", wear)
        if share:
            log.info("noise and compression are removed before enlarging, by a share of up to %.2f.", share)
        return share, wear

    def _chain(self, picture: Picture) -> list[tuple[Model, TileRequirements]]:
        """Returns the models that a picture goes through in turn, with what they require of tiles. Loads them."""
        models, pixels = self._engines.chain, picture.size.pixels
        return [
            (model, self._engines.member(index, picture.depth, pixels).info.needs) for index, model in enumerate(models)
        ]

    def _route(self, picture: Picture, start: Size, result: Size, keeps_size: bool) -> tuple[list[int], list[Size]]:
        """Returns the model of each pass, and the size of the whole picture, `start` before the first, after each.

        The last network that enlarges leads to the result in as many passes as that takes; those before it enlarge once
        by their own scale, those behind it keep the size. There are no passes if the picture only has to get smaller.
        """
        scales = [needs.scale for _, needs in self._chain(picture)]
        last = max((index for index, scale in enumerate(scales) if scale > 1), default=len(scales) - 1)
        members, sizes = [], [start]
        if keeps_size or result.width > start.width or result.height > start.height:
            for index, scale in enumerate(scales):
                after = [sizes[-1].scaled(scale)] if index < last else [result]
                if index == last:
                    after = passes(sizes[-1], result, scale, at_least_one=keeps_size or index > 0)
                members += [index] * len(after)
                sizes += after
            if self._engines.refines:
                members.append(REFINES)
                sizes.append(result)
        return members, sizes

    def _steps(
        self, picture: Picture, sizes: Sequence[Size], members: Sequence[int]
    ) -> Iterator[tuple[Engine | ImageEngine, Step]]:
        """Yields the engine of each pass, and what decides how much of the picture it looks at. `sizes`: of the whole
        picture before the first pass, and after each; `members`: see `Estimate`."""
        pixels, depth, last = picture.size.pixels, picture.depth, len(self._engines.chain) - 1
        for member, (size, result) in zip(members, pairwise(sizes), strict=False):
            if member in (CLEANS, SHRINKS):
                cleaner = self._engines.cleaner(depth, pixels) if member == CLEANS else SHRINKING
                yield cleaner, Step(size, cleaner.info.needs)
                continue
            is_refining = member == REFINES
            engine = self._engines.refiner() if is_refining else self._engines.member(member, depth, pixels)
            fidelity = self.options.fidelity if is_refining or member == last else None
            if fidelity is None:
                fidelity = FIDELITY if engine.info.keeps_tone else 0.0
            if is_refining:
                ratio = max(result.width / picture.size.width, result.height / picture.size.height, 1.0)
                fidelity = surface.fidelity_after_scale(fidelity, ratio)
            context = self._plan(engine, size).tile.width // 4 if engines.is_image_engine(engine) else 0
            yield engine, Step(size, engine.info.needs, fidelity, context)

    def _plan(self, engine: Engine | ImageEngine, size: Size, is_model: bool = True) -> Plan | ImagePlan:
        options = self.options
        memory = options.memory or engine.info.tile_memory
        budget = Budget(memory, options.tile, options.batch, options.overlap) if is_model else Budget(memory)
        if engines.is_image_engine(engine):
            return engine.plan(size, budget)
        return tiling.plan_either_way(size, engine.info.needs, budget)

    def _passes(self, picture: Picture, estimate: Estimate) -> list[Pass]:
        """Returns the passes of an estimate with their engines. Results between passes have 16 bits."""
        windows, members = estimate.windows, estimate.members
        sizes = [window.whole for window in windows] if estimate.plans else []
        varies = picture.has_alpha and picture.pixels[:, :, -1].min() != picture.pixels[:, :, -1].max()
        found = []
        for index, (engine, step) in enumerate(self._steps(picture, sizes, members)):
            plan, share = estimate.plans[index], None
            if members[index] == CLEANS:
                share = np.full((1, 1), estimate.denoise, np.float32)
                if estimate.wear and not self.options.seamless:  # or it would differ where edges meet
                    share = estimate.wear.shares
            found.append(
                Pass(
                    engine,
                    plan,
                    windows[index],
                    windows[index + 1],
                    picture.depth if share is None and index == len(sizes) - 2 else 16,
                    step.fidelity,
                    share,
                    computes_alpha=bool(varies) and share is None and isinstance(plan, Plan),
                )
            )
        return found


def _take_part(picture: Picture, estimate: Estimate, workspace: Path | None) -> tuple[Picture, bool | None]:
    """Returns the part of a picture that is computed, and whether it is grey, which the whole picture decides; None if
    it is the whole."""
    if estimate.crop is not None:
        picture = replace(picture, metadata=picture.metadata.crop_to(estimate.crop, picture.size))
    if estimate.windows[0].is_whole:
        return picture, None
    is_grey = split_layers(picture, workspace)[-1].pixels.shape[2] == 1
    pixels = take_part(picture.pixels, estimate.windows[0].region, workspace)
    return replace(picture, pixels=pixels), is_grey


def _resize(picture: Picture, estimate: Estimate, workspace: Path | None) -> Picture:
    """Brings the part of a picture that is large enough to its size without the model."""
    source, result = estimate.windows
    if source == result:
        return picture
    canvas = make_canvas(picture, result.size, picture.depth, workspace)
    for layer in split_layers(picture, workspace):
        write_bands(resize_bands(cut_bands(Upload(layer.pixels)), source, result), canvas[:, :, layer.channels])
    return replace(picture, pixels=canvas)


def _count(progress: ProgressCallback | None, total: int) -> Callable[[int], None]:
    """Reports that nothing is done of `total`, and returns a function that reports how many more are done."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done = min(done + count, total)  # some tiles may be computed a second time
        if progress is not None:
            progress(done, total)

    advance(0)
    return advance
