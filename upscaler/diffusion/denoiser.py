"""Computes the denoiser of a stock diffusers pipeline in windows: one canvas, one field of noise, one scheduler.

At every step the denoiser is evaluated on overlapping windows of the canvas, and its predictions are joined by weights
that sum to one; everything else is the pipeline's own. Guidance and schedulers are linear in the predictions, so it
makes no difference that they are joined here. After MultiDiffusion (Bar-Tal et al. 2023, arXiv:2302.08113) and Mixture
of Diffusers (Barbero Jiménez 2023, arXiv:2302.02412), with other windows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from diffusers import DiffusionPipeline
from diffusers.models.modeling_outputs import Transformer2DModelOutput

from ..device import dtype_name, is_out_of_memory
from ..errors import EngineError, ModelError, OutOfMemory
from ..tiling import Region, Size
from .families import Arguments, family, repeat_rows
from .patch import Inner, replace_forward
from .windows import Grid, grid

log = logging.getLogger("upscaler")

WindowsCallback: TypeAlias = Callable[[int, int, int], None]
"""Called with the step, counted from 0, the windows done in this evaluation, and how many it has."""


class NotFinite(EngineError):
    """The denoiser, or the whole of its steps, gave NaN or infinity: more precision may help."""


@contextmanager
def tile_denoiser(
    pipeline: DiffusionPipeline, *, tile: int, overlap: int, batch: int, progress: WindowsCallback | None = None
) -> Iterator[None]:
    """Makes a pipeline denoise its canvas, inside the context, in windows of `tile` latents, `batch` of them at once.

    A canvas no larger than a window is left to the stock pipeline. The best `tile` is the size that the model was
    trained at, the best `overlap` a quarter of it (see `Grid.stagger`). What `progress` raises ends the call.

    Entering raises ModelError when the pipeline's denoiser or its ControlNet cannot be computed in windows. The call
    raises PlanError for a tile too small for the overlap, NotFinite when a prediction is not finite, OutOfMemory when
    not even one window fits.
    """
    run = _Run(pipeline, tile, overlap, batch, progress)
    with ExitStack() as stack:
        stack.enter_context(replace_forward(denoiser_of(pipeline), run.denoise))
        if run.control is not None:
            stack.enter_context(replace_forward(pipeline.controlnet, run.defer))
        yield


def grid_of(pipeline: DiffusionPipeline, canvas: Size, tile: int, overlap: int) -> Grid:
    """Returns the windows of a canvas of latents at its first step; arguments and errors are as for `tile_denoiser`."""
    denoiser = denoiser_of(pipeline)
    kind = family(denoiser)
    size = Size(canvas.width // kind.latents_per_cell, canvas.height // kind.latents_per_cell)
    return grid(size, tile // kind.latents_per_cell, overlap // kind.latents_per_cell, kind.align(denoiser))


def multiple_of(pipeline: DiffusionPipeline) -> int:
    """Returns the number by which the sides of a canvas of latents must be divisible. Raises ModelError."""
    denoiser = denoiser_of(pipeline)
    kind = family(denoiser)
    return kind.latents_per_cell * kind.align(denoiser)


class _Run:
    """One call of a pipeline: answers the calls of its denoiser, and of its ControlNet if it has one."""

    def __init__(
        self, pipeline: DiffusionPipeline, tile: int, overlap: int, batch: int, progress: WindowsCallback | None
    ) -> None:
        denoiser, control = denoiser_of(pipeline), getattr(pipeline, "controlnet", None)
        if control is not None and type(control).__name__ != "ControlNetModel":
            raise ModelError(
                f"{type(control).__name__}: this kind of control cannot be computed in windows. Leave it out."
            )
        self.control = None if control is None else Inner(control)
        self._denoiser = Inner(denoiser)
        self._kind = kind = family(denoiser)
        self._tile, self._overlap = tile // kind.latents_per_cell, overlap // kind.latents_per_cell
        self._align = kind.align(denoiser)
        self._device: torch.device = pipeline._execution_device
        self._batch = batch
        self._progress = progress
        self._step = -1
        self._seen: float | None = None

    def denoise(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the prediction for the whole canvas, in the form in which the denoiser itself gives it."""
        arguments = self._denoiser.arguments(args, kwargs)
        canvas = self._kind.canvas(arguments)
        step = self._kind.step(arguments)
        if step != self._seen:  # one step may call the denoiser several times, for guidance, with the same windows
            self._seen = step
            self._step += 1
        windows = self._grid(canvas, self._step)
        if windows.count == 1:
            output = self._denoiser.forward(*args, **kwargs)
            self._check(self._kind.prediction(output[0], windows.size), 1, 1)
            return output
        result = self._kind.output(self._join(arguments, canvas, windows))
        return Transformer2DModelOutput(sample=result) if arguments.get("return_dict", True) else (result,)

    def defer(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the ControlNet's residuals if the canvas is one window, else the arguments to compute them from."""
        assert self.control is not None
        arguments = self.control.arguments(args, kwargs)
        if self._grid(arguments["sample"], 0).count == 1:
            return self.control.forward(*args, **kwargs)
        if arguments.get("guess_mode"):
            raise ModelError("guess mode of a ControlNet cannot be computed in windows. Leave it out.")
        return [arguments], arguments

    def _join(self, arguments: Arguments, canvas: torch.Tensor, windows: Grid) -> torch.Tensor:
        """Sums the predictions by their weights, in float32, on the canvas's device, perhaps not the denoiser's."""
        pairs = list(zip(windows.regions(), windows.weights(), strict=True))
        total = torch.zeros(0)
        done = 0
        while done < len(pairs):
            part = pairs[done : done + self._batch]
            try:
                prediction = self._predict(arguments, canvas, [region for region, _ in part])
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise OutOfMemory(
                        f"out of memory on {self._device}, even with one window of {self._tile} at a time. "
                        "Use a smaller `tile`, or close other programs."
                    ) from error
                self._batch = len(part) // 2
                log.warning("out of memory on %s: %d windows at a time from here on.", self._device, self._batch)
                continue
            if done == 0:
                total = canvas.new_zeros(len(canvas), prediction.shape[2], *canvas.shape[-2:], dtype=torch.float32)
            for index, (region, weight) in enumerate(part):
                weighted = prediction[:, index].float() * weight.to(prediction.device)
                crop(total, region).add_(weighted.to(total.device))
            done += len(part)
            self._check(prediction, done, len(pairs))
        return total.to(prediction.dtype)

    def _predict(self, arguments: Arguments, canvas: torch.Tensor, regions: list[Region]) -> torch.Tensor:
        """Predicts regions of every row of the canvas; returns (rows, regions, channels, height, width)."""
        call = self._kind.replace_canvas(arguments, self._cut(canvas, regions), len(regions))
        deferred = arguments.get("mid_block_additional_residual")
        if isinstance(deferred, dict):  # as `defer` has returned it
            call |= self._residuals(deferred, regions)
        output = self._denoiser.forward(**call | {"return_dict": False})[0]
        prediction = self._kind.prediction(output, regions[0].size)
        return prediction.reshape(len(canvas), len(regions), *prediction.shape[1:])

    def _residuals(self, arguments: Arguments, regions: list[Region]) -> Arguments:
        """Returns the residuals of the ControlNet for these regions; it sees the same windows of canvas and picture."""
        assert self.control is not None
        sample, picture = arguments["sample"], arguments["controlnet_cond"]
        factor = picture.shape[-1] // sample.shape[-1]
        larger = [Region(*(factor * side for side in (each.x, each.y, each.width, each.height))) for each in regions]
        call = {name: repeat_rows(value, len(sample), len(regions)) for name, value in arguments.items()}
        call |= {"sample": self._cut(sample, regions), "controlnet_cond": self._cut(picture, larger)}
        down, middle = self.control.forward(**call | {"return_dict": False})
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}

    def _cut(self, canvas: torch.Tensor, regions: list[Region]) -> torch.Tensor:
        """Cuts regions from every row, to the computing device: all of the first row, then all of the second."""
        return torch.stack([crop(canvas, region) for region in regions], 1).flatten(0, 1).to(self._device)

    def _grid(self, canvas: torch.Tensor, step: int) -> Grid:
        size = Size(canvas.shape[-1], canvas.shape[-2])
        even = grid(size, self._tile, self._overlap, self._align)
        return even if step % 2 == 0 else even.stagger()

    def _check(self, prediction: torch.Tensor, done: int, total: int) -> None:
        if not prediction.isfinite().all():
            raise NotFinite(
                f"step {self._step + 1}: the denoiser predicts NaN or infinity in {dtype_name(prediction.dtype)}. "
                "Set `precision` to fp32, or to bf16 where the device has it."
            )
        if self._progress is not None:
            self._progress(self._step, done, total)


def crop(canvas: torch.Tensor, region: Region) -> torch.Tensor:
    """Returns a view of the region in the last two dimensions."""
    return canvas[..., region.y : region.y + region.height, region.x : region.x + region.width]


def denoiser_of(pipeline: DiffusionPipeline) -> torch.nn.Module:
    """Returns the transformer or the UNet of a pipeline. Raises ModelError when it has neither."""
    denoiser: torch.nn.Module | None = getattr(pipeline, "transformer", None) or getattr(pipeline, "unet", None)
    if denoiser is None:
        raise ModelError(f"{type(pipeline).__name__}: there is neither a UNet nor a transformer. Use another model.")
    return denoiser
