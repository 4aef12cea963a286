"""Diffusion models as engines: those that enlarge by themselves, and generators that draw an enlarged picture anew.

The engines prepare the inputs. `diffusion.runner` loads and runs the pipelines, `diffusion.denoiser` computes them in
windows of one canvas.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Final, cast

import numpy as np
import torch

from .. import catalog
from ..arrays import PixelArray, to_float
from ..catalog import Model
from ..device import memory_for_tiles, pick_device
from ..diffusion.denoiser import grid_of, multiple_of, tile_denoiser
from ..diffusion.memory import memory_needed
from ..diffusion.options import Diffusion
from ..diffusion.pipelines import Task
from ..diffusion.runner import PipelineRunner, RunnerOptions
from ..diffusion.vae import encode
from ..errors import PlanError
from ..picture import allocate, strips
from ..tiling import Band, Budget, Size, TileRequirements
from .base import EngineInfo, ImagePlan

STEPS: Final = 25
"""Steps where neither the user nor the catalog says how many."""

ADVICE: Final = "State less `memory`, so that its windows are smaller, or choose a smaller model."


class DiffusionEngine:
    """An `ImageEngine`: a pipeline that makes one picture at a time from a picture.

    This class is for models that enlarge by themselves: the x4 upscaler of Stable Diffusion, its source beside the
    latents, or the x2 upscaler, whose source are latents too (diffusers 0.42).
    """

    task: ClassVar[Task] = "upscale"

    def __init__(
        self,
        model: Model,
        options: Diffusion,
        *,
        device: str | None = None,
        precision: str = "auto",
        memory: int | None = None,
    ) -> None:
        """Loads the model. `memory` is in bytes, for the model and its windows; None is what is free.

        Raises ModelError for whatever is wrong with the model, PlanError for device, precision or too little memory,
        OutOfMemory when the model cannot be loaded.
        """
        self._options = options
        self._lock = threading.RLock()
        self.runner = PipelineRunner(
            model,
            RunnerOptions(
                pick_device(device),
                ADVICE,
                precision,
                memory,
                control=catalog.find(options.control) if options.control else None,
                safety_checker=False,  # the pictures are the user's own
                compile=options.compile,
                allow_pickle=options.allow_pickle,
            ),
        )
        self.runner.load(self.task)
        self.scale = self.runner.traits.scale
        self.source_pixels_per_latent = self.runner.pixels_per_latent // self.scale
        """Pixels of the source for a latent of the canvas, along a side."""

    @property
    def info(self) -> EngineInfo:
        """See `ImageEngine.info`. The canvas needs no tiles."""
        device = self.runner.options.device
        return EngineInfo(
            self.runner.model.name,
            TileRequirements(self.scale, reach=0),
            device=str(device),
            precision=self.runner.precision,
            free_memory=self.runner.options.memory or memory_for_tiles(device),
        )

    def plan(self, size: Size, budget: Budget) -> ImagePlan:
        """Plans as `ImageEngine.plan` says. A tile is a window; it and its overlap consist of whole latents."""
        placement, pixels = self.runner.placement, self.source_pixels_per_latent
        window = placement.window if budget.tile is None else max(budget.tile // pixels, 1)
        overlap = window // 4 if budget.overlap is None else budget.overlap // pixels
        padded = self._padded_size(size)
        canvas = Size(padded.width // pixels, padded.height // pixels)
        unit = multiple_of(self.runner.pipeline)
        shared = math.ceil(8 * unit / 3) if budget.overlap is None else overlap + 2 * unit
        least = max(shared * pixels, self.runner.traits.minimum)
        if window * pixels < least:
            raise PlanError(
                f"the window is too small for this model and its overlap. Use {least} or more.",
                argument="tile",
                value=budget.tile,
            )
        grid = grid_of(self.runner.pipeline, canvas, window, overlap)
        tile = Size(*(min(window * pixels, side) for side in (padded.width, padded.height)))
        batch = min(budget.batch or placement.batch, grid.count)
        memory = memory_needed(self.runner.facts, placement)
        return ImagePlan(size, self.scale, tile, window, overlap, grid.count, self._steps_done(), batch, memory)

    def run(self, pixels: PixelArray, plan: ImagePlan, progress: Callable[[int], None]) -> Iterator[Band]:
        """Yields bands as `ImageEngine.run` says. Failures are handled by `PipelineRunner.attempt`."""
        runner = self.runner
        with self._lock:
            reported = 0

            def count(step: int, done: int, total: int) -> None:
                nonlocal reported
                now = min(int(plan.windows * (step + done / total)), plan.count)  # a pipeline may take more steps
                if now > reported:
                    progress(now - reported)
                    reported = now

            padded = self._padded_size(plan.size)

            def denoise() -> torch.Tensor:
                return runner.run(
                    lambda: self._text_arguments() | self._picture_arguments(_extend(pixels, padded)),
                    padded.scaled(self.scale),
                    seed=self._options.seed,
                    windows=tile_denoiser(
                        runner.pipeline, tile=plan.window, overlap=plan.overlap, batch=plan.batch, progress=count
                    ),
                )

            latents = runner.attempt(denoise)
            count(plan.steps, 0, 1)
            try:
                yield from _crop(runner.decode(latents), plan.size.scaled(self.scale), pixels.shape[2])
            finally:
                runner.pipeline.maybe_free_model_hooks()

    def _picture_arguments(self, picture: PixelArray) -> dict[str, Any]:
        """Returns the pipeline's arguments for a picture (height, width, 3) that is extended already."""
        if self.runner.traits.source == "latents":
            return {"image": encode(self.runner.pipeline.vae, picture, tile=self.runner.placement.vae_tile)}
        largest = self.runner.pipeline.config.max_noise_level
        return {"image": _to_tensor(picture), "noise_level": self._options.noise(largest)}

    def _steps(self) -> int:
        """Returns the number of steps of the whole way from noise to picture."""
        return self._options.steps or self.runner.sampling.steps or STEPS

    def _steps_done(self) -> int:
        """Returns how many of these steps are computed."""
        return self._steps()

    def _padded_size(self, size: Size) -> Size:
        least, multiple = self.runner.traits.minimum, self.runner.traits.multiple
        padded = Size(max(size.width, least), max(size.height, least))
        return padded.round_up(multiple or self.source_pixels_per_latent * multiple_of(self.runner.pipeline))

    def _text_arguments(self) -> dict[str, Any]:
        options, full = self._options, self.runner.guidance
        takes_full = self.runner.is_told_guidance and options.guidance is None
        guidance = full if takes_full else options.guidance_for(full)
        return self.runner.arguments(options.prompt, options.negative, guidance, self._steps())


class ImageToImage(DiffusionEngine):
    """A generator that begins with a picture and ends with one of the same size: image to image, at low strength."""

    task = "image-to-image"

    def _steps(self) -> int:
        """Returns the number of steps, raised if need be so that at least one of them is computed."""
        return max(super()._steps(), math.ceil(1 / self._options.strength))

    def _steps_done(self) -> int:
        return int(self._steps() * self._options.strength)

    def _picture_arguments(self, picture: PixelArray) -> dict[str, Any]:
        pipeline, placement = self.runner.pipeline, self.runner.placement
        latents = encode(pipeline.vae, picture, tile=placement.vae_tile)
        # Some pipelines take latents for pictures unless told how many channels they have.
        pipeline.image_processor.register_to_config(vae_latent_channels=latents.shape[1])
        call: dict[str, Any] = {"image": latents, "strength": self._options.strength}
        if self.runner.options.control is not None:
            call["control_image"] = _to_tensor(picture)
        height, width = picture.shape[:2]
        side = placement.window * self.source_pixels_per_latent
        seen = (min(side, height), min(side, width))  # SDXL is told the size of what it sees: a window
        sizes: dict[str, Any] = {"height": height, "width": width, "original_size": seen, "target_size": seen}
        return call | {name: value for name, value in sizes.items() if name in self.runner.takes}


def _extend(pixels: PixelArray, size: Size) -> PixelArray:
    """Returns a picture (height, width, 1 or 3) in three channels, reflected at its right and bottom up to a size."""
    height, width = pixels.shape[:2]
    colour: Any = np.broadcast_to(pixels, (height, width, 3))  # no copy
    if Size(width, height) == size:
        return cast("PixelArray", colour)
    extended = allocate((size.height, size.width, 3), pixels.dtype, None)
    rows, columns = (
        np.pad(np.arange(own), (0, wanted - own), "symmetric")
        for own, wanted in ((height, size.height), (width, size.width))
    )
    for strip in strips(size.height):
        extended[strip] = colour[rows[strip]][:, columns]
    return extended


def _to_tensor(pixels: PixelArray) -> torch.Tensor:
    """Turns pixels (height, width, 3) into a tensor (1, 3, height, width), float32, 0..1."""
    return torch.from_numpy(np.ascontiguousarray(to_float(pixels))).permute(2, 0, 1)[None]


def _crop(bands: Iterable[Band], size: Size, channels: int) -> Iterator[Band]:
    """Yields the bands without what extends the picture beyond `size`; grey if `channels` is 1."""
    for band in bands:
        part = band.pixels[: max(size.height - band.y, 0), : size.width]
        if len(part):
            yield Band(band.y, part if channels == 3 else part.mean(axis=2, keepdims=True))
