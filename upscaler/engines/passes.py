"""One pass of an engine over a picture: cut, computed, blended, held to its source, brought to its size, rounded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from .. import surface
from ..arrays import FloatArray, PixelArray
from ..errors import OutOfMemory
from ..picture import Layer
from ..surface import HOST, LrRmse, Surface, Upload, resize_bands, surface_for, write_bands
from ..tiling import Batch, Plan, Region, Tile, Window
from .base import Engine, ImageEngine, ImagePlan, is_image_engine
from .composite import adapt_channels
from .retry import run_checked

log = logging.getLogger("upscaler")


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of an engine over a picture."""

    engine: Engine | ImageEngine
    plan: Plan | ImagePlan
    source: Window
    result: Window
    depth: int
    """Bits a sample of the result: 8 or 16."""
    fidelity: float
    share: FloatArray | None
    """In the pass that removes noise and compression: the share of these that is removed, 0..1, as `mix_bands` takes
    it."""
    computes_alpha: bool
    """Whether transparency goes through the engine. It is only resized if it is the same everywhere, by the pass that
    removes noise, and by diffusion models, which would draw something into it."""

    def enlarge(self, layer: Layer, tile: Tile | None, canvas: PixelArray, advance: Callable[[int], None]) -> float:
        """Computes a layer and writes it into its part of a canvas; returns how far it departs from its source.

        Pixels stay in the memory of the engine's device until they are whole numbers. If there is too little of it for
        what comes after the network, that is done on the host. `tile`: see `Pipeline.run`.
        """
        place = HOST if isinstance(self.plan, ImagePlan) else surface_for(self.engine.info.device)
        if place is HOST:
            return self._enlarge_on(HOST, layer, tile, canvas, advance)
        with suppress(OutOfMemory), place.errors():
            return self._enlarge_on(place, layer, tile, canvas, advance)
        log.warning("out of memory on %s: results are joined on the CPU.", self.engine.info.device)
        return self._enlarge_on(HOST, layer, tile, canvas, advance)

    def _enlarge_on(
        self, place: Surface, layer: Layer, tile: Tile | None, canvas: PixelArray, advance: Callable[[int], None]
    ) -> float:
        engine, plan, part, result = self.engine, self.plan, self.source, self.result
        pixels, share = layer.pixels, self.share
        by_columns = isinstance(plan, Plan) and plan.by_columns
        if isinstance(plan, Plan) and by_columns:  # columns are rows of the transposed picture
            plan, part, result = plan.transpose(), part.transpose(), result.transpose()
            pixels, canvas = pixels.swapaxes(0, 1), canvas.swapaxes(0, 1)
            share = None if share is None else np.ascontiguousarray(share.T)
        lr_rmse = LrRmse(part=result.inner(part, plan.scale))
        source = Upload(pixels, place)
        if isinstance(plan, ImagePlan):
            assert is_image_engine(engine)
            bands = engine.run(pixels, plan, advance)
        else:
            assert not is_image_engine(engine)
            if tile is None:
                batches = surface.cut(source, plan)
                if by_columns:  # the engine sees every tile upright
                    batches = (batch.transpose() for batch in batches)
                tiles = run_checked(adapt_channels(engine, pixels.shape[2]), batches)
            else:
                tiles = iter([Tile(tile.region, place.bring(tile.pixels))])
            if by_columns:
                tiles = (tile.transpose() for tile in tiles)
            bands = surface.blend(_report(tiles, advance), plan)

        if layer.is_alpha:
            bands = surface.within_source(bands, source, plan.scale)
        elif share is not None:
            bands = surface.mix_bands(bands, source, share, part)
        else:
            bands = surface.back_project(bands, source, plan.scale, self.fidelity, lr_rmse)
        bands = resize_bands(bands, part.scaled(plan.scale), result)
        write_bands(bands, canvas)
        return lr_rmse.levels


def compute_together(engine: Engine, pictures: Sequence[PixelArray], plans: Sequence[Plan | ImagePlan]) -> list[Tile]:
    """Computes the single tiles of several pictures, (height, width, 1 or 3), as one batch."""
    place = surface_for(engine.info.device)
    regions: list[Region] = []
    tiles = []
    with place.errors():
        for pixels, plan in zip(pictures, plans, strict=True):
            assert isinstance(plan, Plan)
            (batch,) = surface.cut(Upload(pixels, place), plan)
            regions += batch.regions
            is_alike = pixels.shape[2] == engine.info.channels
            tiles.append(batch.pixels if is_alike else place.concatenate([batch.pixels] * 3, axis=3))
        return list(run_checked(engine, [Batch(tuple(regions), place.concatenate(tiles))]))


def _report(tiles: Iterable[Tile], advance: Callable[[int], None]) -> Iterator[Tile]:
    for tile in tiles:
        advance(1)
        yield tile
