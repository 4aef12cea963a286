"""Diffusion models as engines: those that enlarge by themselves, and generators that draw an enlarged picture anew.

The pipelines are diffusers' own. `diffusion` computes their denoiser in windows of one canvas, their VAE in tiles.
Over 300 lines, because the two kinds share all but what they call a pipeline with.
"""

from __future__ import annotations

import inspect
import logging
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Final, cast

import numpy as np
import torch

from .. import catalog
from ..arrays import PixelArray, to_float
from ..catalog import Model, Sampling
from ..device import PRECISIONS, free_memory, pick_device
from ..diffusion.denoiser import grid_of, multiple_of, tiled
from ..diffusion.load import Task, class_for, fetch_pipeline, load, quiet
from ..diffusion.memory import applied, facts, needed, place
from ..diffusion.options import Diffusion
from ..diffusion.vae import decode, encode
from ..errors import EngineError, OutOfMemory, PlanError
from ..picture import allocate
from ..tiling import Band, Budget, Size, TileRequirements
from .base import EngineInfo, ImagePlan

log = logging.getLogger("upscaler")

STEPS: Final = 25
"""Where neither the user nor the catalog says."""

GUIDANCE: Final = 5.0
"""Likewise."""

STRIP_ROWS: Final = 256
"""Of a picture that is extended, copied at a time."""


class DiffusionEngine(ABC):
    """A pipeline on its device, which makes one picture at a time."""

    task: ClassVar[Task]
    scale: int
    cell: int
    """Pixels of the source for a latent of the canvas, along a side."""
    multiple: int
    """By what the sides of the source are divisible."""
    minimum: int = 1
    """Of a side of the source."""
    _pipeline: Any

    def __init__(
        self,
        model: Model,
        options: Diffusion,
        *,
        device: str | None = None,
        precision: str = "auto",
        memory: int | None = None,
    ) -> None:
        """`memory` in bytes: what the model and its windows may take; None is what is free.

        Raises ModelError for whatever is wrong with the model, PlanError for device, precision or too little memory,
        OutOfMemory when the model cannot be loaded.
        """
        self._model = model
        self._options = options
        self._sampling = model.sampling or Sampling()
        self._where = pick_device(device)
        self._memory = memory
        self._control = catalog.find(options.control) if options.control else None
        self._lock = threading.RLock()
        self._load(precision)

    @property
    def info(self) -> EngineInfo:
        """What of it the plan and the user want to know; its canvas needs no tiles."""
        return EngineInfo(
            self._model.name,
            TileRequirements(self.scale, reach=0),
            device=str(self._where),
            precision=next(name for name, dtype in PRECISIONS.items() if dtype == self._placement.dtype),
            free_memory=self._memory or free_memory(self._where),
        )

    def plan(self, size: Size, budget: Budget) -> ImagePlan:
        """See `ImageEngine.plan`. A tile is a window; it and its overlap are made of whole latents."""
        window = self._placement.window if budget.tile is None else max(budget.tile // self.cell, 1)
        overlap = window // 4 if budget.overlap is None else budget.overlap // self.cell
        padded = self._padded(size)
        canvas = Size(padded.width // self.cell, padded.height // self.cell)
        unit = multiple_of(self._pipeline)
        own = math.ceil(8 * unit / 3) if budget.overlap is None else overlap + 2 * unit
        least = max(own * self.cell, self.minimum)
        if window * self.cell < least:
            raise PlanError(f"--tile {budget.tile}: too small for this model and its overlap. Use {least} or more.")
        grid = grid_of(self._pipeline, canvas, window, overlap)
        tile = Size(*(min(window * self.cell, side) for side in (padded.width, padded.height)))
        batch = min(budget.batch or self._placement.batch, grid.count)
        memory = needed(self._facts, self._placement)
        return ImagePlan(size, self.scale, tile, window, overlap, grid.count, self._steps(), batch, memory)

    def run(self, pixels: PixelArray, plan: ImagePlan, progress: Callable[[int], None]) -> Iterator[Band]:
        """See `ImageEngine.run`. What comes to nothing in half precision is begun anew in float32."""
        with self._lock:
            count = _Count(plan, progress)
            try:
                latents = self._denoised(pixels, plan, count)
            except EngineError as error:
                if self._placement.dtype == torch.float32:
                    raise
                log.warning("%s Going on in fp32.", error)
                self._pipeline = None  # or there would have to be room for both
                self._load("fp32")
                latents = self._denoised(pixels, plan, count)
            bands = decode(self._pipeline.vae, latents, tile=self._placement.vae_tile)
            try:
                yield from _within(bands, plan.size.scaled(self.scale), pixels.shape[2])
            finally:
                self._pipeline.maybe_free_model_hooks()

    @abstractmethod
    def _shape(self, pipeline: Any) -> None:
        """Takes scale, cell, multiple and minimum from the pipeline."""

    @abstractmethod
    def _call(self, pixels: PixelArray, padded: Size) -> dict[str, Any]:
        """What the pipeline is called with for a picture (height, width, 1 or 3), beside the text."""

    def _schedule(self) -> int:
        """Steps of the whole way from noise to picture."""
        return self._options.steps or self._sampling.steps or STEPS

    def _steps(self) -> int:
        """Those of them that are done."""
        return self._schedule()

    def _load(self, precision: str) -> None:
        pickles = self._options.allow_pickle
        source = fetch_pipeline(self._model, allow_pickle=pickles)
        guide = None if self._control is None else fetch_pipeline(self._control, allow_pickle=pickles)
        class_for(source, self.task)  # what cannot do it has configurations of other kinds, perhaps
        self._facts = facts(source, guide)
        self._placement = place(self._facts, self._where, self._memory, precision)
        dtype = self._placement.dtype
        pipeline = load(  # without a safety checker: the pictures are the user's own
            self._model, self.task, dtype=dtype, control=self._control, safety_checker=False, allow_pickle=pickles
        )
        self._shape(pipeline)
        self._pipeline = applied(pipeline, self._placement)
        if self._options.compile:
            self._denoiser.compile_repeated_blocks(fullgraph=True)
        self._takes = inspect.signature(type(pipeline).__call__).parameters

    @property
    def _denoiser(self) -> Any:
        return getattr(self._pipeline, "transformer", None) or self._pipeline.unet

    def _padded(self, size: Size) -> Size:
        sides = (-(-max(side, self.minimum) // self.multiple) * self.multiple for side in (size.width, size.height))
        return Size(*sides)

    def _denoised(self, pixels: PixelArray, plan: ImagePlan, count: _Count) -> torch.Tensor:
        """The finished canvas, (1, channels, height, width)."""
        padded = self._padded(plan.size)
        with torch.inference_mode(), quiet():
            generator = torch.Generator("cpu").manual_seed(self._options.seed)
            try:
                call = self._text() | self._call(pixels, padded)
                with tiled(self._pipeline, tile=plan.window, overlap=plan.overlap, batch=plan.batch, progress=count):
                    result = self._pipeline(**call, generator=generator, output_type="latent", return_dict=False)
            except torch.OutOfMemoryError as error:
                raise OutOfMemory(
                    f"out of memory on {self._where}: {self._model.name} has no room beside its windows. "
                    "State less with --memory, or choose a smaller model."
                ) from error
            except RuntimeError as error:
                if not self._options.compile:
                    raise
                reason = str(error).strip().partition("\n")[0]
                raise EngineError(f"--compile: is not possible here ({reason}). Leave it out.") from error
            finally:
                self._pipeline.maybe_free_model_hooks()
            latents: torch.Tensor = result[0]
            if latents.ndim == 3:  # Flux packs two by two latents into a token
                factor = self._pipeline.vae_scale_factor
                latents = self._pipeline._unpack_latents(latents, padded.height, padded.width, factor)
        if not latents.isfinite().all():
            raise EngineError(f"{self._model.name}: its steps do not end in numbers (NaN or infinity).")
        count.finish()
        return latents

    def _text(self) -> dict[str, Any]:
        """What the pipeline is called with for every picture."""
        options, full = self._options, self._sampling.guidance
        if full is None:
            full = self._takes["guidance_scale"].default or GUIDANCE
        if getattr(self._denoiser.config, "guidance_embeds", False):  # it is told how to behave as if guided
            guidance = full if options.guidance is None else options.guidance
        else:
            guidance = options.guided(full)
        call = {"prompt": options.prompt, "num_inference_steps": self._schedule(), "guidance_scale": guidance}
        if options.negative and "negative_prompt" in self._takes:
            call["negative_prompt"] = options.negative
        elif options.negative:
            log.warning("%s: takes no --negative.", self._model.name)
        return call


class DiffusionUpscaler(DiffusionEngine):
    """A model that enlarges by itself: the x4 upscaler of Stable Diffusion, its source beside the latents, or the x2
    upscaler, whose source are latents too (diffusers 0.42)."""

    task = "upscale"

    def _shape(self, pipeline: Any) -> None:
        self._encodes = type(pipeline).__name__ == "StableDiffusionLatentUpscalePipeline"
        if self._encodes:
            self.scale, self.multiple, self.minimum = 2, 32, 64
        else:
            self.scale, self.multiple = 4, 8
        self.cell = pipeline.vae_scale_factor // self.scale

    def _call(self, pixels: PixelArray, padded: Size) -> dict[str, Any]:
        picture = _extended(pixels, padded)
        if self._encodes:
            return {"image": encode(self._pipeline.vae, picture, tile=self._placement.vae_tile)}
        largest = self._pipeline.config.max_noise_level
        return {"image": _tensor(picture), "noise_level": self._options.noise(largest)}


class ImageToImage(DiffusionEngine):
    """A generator that begins with a picture and ends with one of the same size: image to image, at low strength."""

    task = "image-to-image"
    scale = 1

    def _shape(self, pipeline: Any) -> None:
        self.cell = pipeline.vae.config.get("spatial_compression_ratio") or pipeline.vae_scale_factor
        self.multiple = self.cell * multiple_of(pipeline)

    def _schedule(self) -> int:
        """Enough of them that one is done."""
        return max(super()._schedule(), math.ceil(1 / self._options.strength))

    def _steps(self) -> int:
        return int(self._schedule() * self._options.strength)

    def _call(self, pixels: PixelArray, padded: Size) -> dict[str, Any]:
        picture = _extended(pixels, padded)
        latents = encode(self._pipeline.vae, picture, tile=self._placement.vae_tile)
        # Some pipelines take latents for pictures unless told how many channels they have.
        self._pipeline.image_processor.register_to_config(vae_latent_channels=latents.shape[1])
        call: dict[str, Any] = {"image": latents, "strength": self._options.strength}
        if self._control is not None:
            call["control_image"] = _tensor(picture)
        sizes: dict[str, Any] = {"height": padded.height, "width": padded.width}
        side = self._placement.window * self.cell
        seen = (min(side, padded.height), min(side, padded.width))  # SDXL is told of what it sees: a window
        sizes |= {"original_size": seen, "target_size": seen}
        return call | {name: value for name, value in sizes.items() if name in self._takes}


class _Count:
    """Tells how many more of a plan's windows are done. A pipeline may take a step more or less than planned."""

    def __init__(self, plan: ImagePlan, report: Callable[[int], None]) -> None:
        self._plan = plan
        self._report = report
        self._told = 0

    def __call__(self, step: int, done: int, total: int) -> None:
        self._tell(min(int(self._plan.windows * (step + done / total)), self._plan.count))

    def finish(self) -> None:
        self._tell(self._plan.count)

    def _tell(self, done: int) -> None:
        if done > self._told:
            self._report(done - self._told)
            self._told = done


def _extended(pixels: PixelArray, size: Size) -> PixelArray:
    """A picture (height, width, 1 or 3) in three channels, reflected at its right and at its bottom up to a size."""
    height, width = pixels.shape[:2]
    colour: Any = np.broadcast_to(pixels, (height, width, 3))  # no copy
    if Size(width, height) == size:
        return cast("PixelArray", colour)
    extended = allocate((size.height, size.width, 3), pixels.dtype, None)
    rows, columns = (
        np.pad(np.arange(own), (0, wanted - own), "symmetric")
        for own, wanted in ((height, size.height), (width, size.width))
    )
    for y in range(0, size.height, STRIP_ROWS):
        extended[y : y + STRIP_ROWS] = colour[rows[y : y + STRIP_ROWS]][:, columns]
    return extended


def _tensor(pixels: PixelArray) -> torch.Tensor:
    """(1, 3, height, width), float32, 0..1."""
    return torch.from_numpy(np.ascontiguousarray(to_float(pixels))).permute(2, 0, 1)[None]


def _within(bands: Iterable[Band], size: Size, channels: int) -> Iterator[Band]:
    """What of the bands lies in the picture and not in what it was extended by; grey if one channel is wanted."""
    for band in bands:
        part = band.pixels[: max(size.height - band.y, 0), : size.width]
        if len(part):
            yield Band(band.y, part if channels == 3 else part.mean(axis=2, keepdims=True))
