"""One pipeline of diffusers on its device: loaded for a task, placed, run, loaded again more carefully after a failure.

What the inputs mean is left to the callers: `engines.diffusion` enlarges, `text2image.text_to_image` draws from text.
The module is a little longer than others, because each stage of a run may fail for lack of memory or of the device, and
what is done then is the same for all.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

import torch
from diffusers import AutoencoderDC, AutoencoderKL, AutoencoderKLFlux2, AutoencoderTiny

from ..catalog import Model, Sampling
from ..device import dtype_name, is_lost, is_out_of_memory, release, report_loss
from ..errors import EngineError, ModelError, OutOfMemory, PlanError, UpscalerError, first_line
from ..progress import ProgressCallback
from ..tiling import Band, Size
from .denoiser import NotFinite, denoiser_of
from .load import ModelFiles, class_for, fetch_pipeline, load
from .lora import add_loras
from .memory import OFFLOADS, Facts, Offload, Placement, limit_memory, place, put_in_place, read_facts
from .messages import quiet, report_steps
from .options import Lora
from .pipelines import FIXED, Task, Traits, traits
from .prompts import text_arguments
from .vae import decode

log = logging.getLogger("upscaler")

IN_TILES: Final = (AutoencoderKL, AutoencoderKLFlux2, AutoencoderTiny, AutoencoderDC)
"""VAEs that `decode` computes; results of a pipeline with another one are decoded by the pipeline itself."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """The options with which pipelines are loaded and run, whatever their inputs."""

    device: torch.device
    advice: str
    """The end of the error's text when memory runs out: how the user can save some."""
    precision: str = "auto"
    memory: int | None = None
    """Bytes that the model and what it computes may take on the device; None: all that are free."""
    control: Model | None = None
    """A ControlNet for the task "image-to-image"."""
    safety_checker: bool = True
    """Whether the safety checker of a model that has one is loaded."""
    compile: bool = False
    allow_pickle: bool = False
    offline: bool | None = None


class PipelineRunner:
    """A pipeline and its place. Not for use from several threads at once.

    runner = PipelineRunner(model, RunnerOptions(device, "Choose a smaller model."))
    runner.load("text-to-image")
    call = lambda: runner.arguments("a cat", "", 5.0, 20) | {"width": 512, "height": 512}
    latents = runner.attempt(lambda: runner.run(call, Size(512, 512), seed=0))
    """

    facts: Facts
    placement: Placement
    traits: Traits
    """The row of the pipeline's family."""
    takes: Mapping[str, inspect.Parameter]
    """The parameters of a call of the pipeline."""
    pipeline: Any = None  # while nothing is loaded

    def __init__(self, model: Model, options: RunnerOptions) -> None:
        """Takes the options of the pipeline, which is loaded later, by `load`."""
        self.model = model
        self.options = options
        self.sampling = model.sampling or Sampling()
        self.task: Task | None = None
        """The task that was loaded last."""
        self._loras: tuple[Lora, ...] = ()
        self._precision = options.precision
        self._least_offload: Offload = OFFLOADS[0]

    def load(self, task: Task) -> None:
        """Makes the pipeline ready for a task; nothing is done if it is.

        Raises ModelError for whatever is wrong with the model, PlanError when it does not fit into the memory,
        OutOfMemory when it cannot be loaded.
        """
        if self.pipeline is not None and task == self.task:
            return
        self.close()
        options = self.options
        fetch = partial(fetch_pipeline, allow_pickle=options.allow_pickle, offline=options.offline)
        source = fetch(self.model)
        guide = None if options.control is None else fetch(options.control)
        class_for(source, task)  # first, because a model of another kind may have other fields in its configurations
        self.facts = read_facts(source, guide)
        with report_loss(options.device):
            while (pipeline := self._load(source, task, guide)) is None:
                release()
        self.pipeline, self.task = pipeline, task
        self.traits, self.takes = traits(pipeline), inspect.signature(type(pipeline).__call__).parameters
        if options.compile:
            self.denoiser.compile_repeated_blocks(fullgraph=True)

    def close(self) -> None:
        """Releases the pipeline and its memory; `load` loads it again."""
        if self.pipeline is None:
            return
        self.pipeline, self._loras = None, ()
        release()

    @property
    def precision(self) -> str:
        """The name of the precision in use."""
        return dtype_name(self.placement.dtype)

    @property
    def denoiser(self) -> Any:
        """The UNet or transformer."""
        return denoiser_of(self.pipeline)

    @property
    def pixels_per_latent(self) -> int:
        """Pixels of the result for a latent, along a side."""
        return int(self.pipeline.vae.config.get("spatial_compression_ratio") or self.pipeline.vae_scale_factor)

    @property
    def is_told_guidance(self) -> bool:
        """Whether the denoiser is told the guidance as a number, and computes as if guided; others are guided by
        computing a second time, without the prompt."""
        return bool(self.denoiser.config.get("guidance_embeds"))

    @property
    def guidance(self) -> float:
        """The guidance that the model is meant to be used with: the catalog's, else the pipeline's default."""
        if self.sampling.guidance is not None:
            return self.sampling.guidance
        parameter = self.takes.get(self._guidance_argument)
        return 1.0 if parameter is None or parameter.default is None else float(parameter.default)

    def arguments(
        self, prompt: str, negative: str, guidance: float, steps: int, *, warns: bool = True
    ) -> dict[str, Any]:
        """Returns the arguments of a call that do not depend on pictures and sizes.

        `warns`: whether a negative prompt that has no effect is logged. Raises PlanError for a prompt of which the
        model would see only the beginning.
        """
        idle = self._idle_negative(guidance)
        if negative and idle and warns:
            log.warning("%s: `negative` has no effect: %s.", self.model.name, idle)
        if guidance == 0 and self.traits.drops_prompt_at_zero:
            prompt = ""
        call = text_arguments(self.pipeline, self.model.name, prompt, "" if idle else negative)
        options: dict[str, Any] = {self._guidance_argument: guidance, **FIXED}
        if self._guidance_argument == "true_cfg_scale":
            options["negative_prompt"] = call.get("negative_prompt", " ")  # without any there is no guidance
        if steps != 2:
            options["intermediate_timesteps"] = None  # the default of SANA-Sprint is for two steps
        taken = {name: value for name, value in options.items() if name in self.takes}
        return call | {"num_inference_steps": steps} | taken

    def set_loras(self, loras: tuple[Lora, ...]) -> None:
        """Adds these LoRAs, and no others, to the weights. Raises ModelError, and then adds none."""
        if loras == self._loras:
            return
        if self._loras:
            self.pipeline.unload_lora_weights()
            self._loras = ()
        if loras:
            add_loras(self.pipeline, self.model.name, loras)
            self._loras = loras

    def run(
        self,
        arguments: Callable[[], dict[str, Any]],
        size: Size,
        *,
        seed: int,
        windows: AbstractContextManager[None] | None = None,
        progress: ProgressCallback | None = None,
    ) -> torch.Tensor:
        """Returns latents (1, channels, height, width) of a result of `size`, for `decode`. Where the VAE is none of
        IN_TILES they are pixels already, (1, 3, height, width), 0..1.

        `arguments` is called with offloading and modes as for the pipeline, and `windows` is open around the call of
        the pipeline; `progress` is told the steps. The noise depends on `seed` alone and not on the device.

        Raises NotFinite for a result with NaN or infinity, OutOfMemory, DeviceLost, EngineError when the pipeline fails
        otherwise, PlanError for the prompt or when it cannot be compiled.
        """
        limit = limit_memory(self.pipeline, self.placement)
        lost = report_loss(self.options.device)
        with lost, torch.inference_mode(), quiet(), report_steps(self.pipeline, progress), limit:
            try:
                call = arguments() | {"generator": torch.Generator("cpu").manual_seed(seed), "return_dict": False}
                with windows or nullcontext():
                    result: torch.Tensor = self.pipeline(**call, output_type="latent" if self._in_tiles else "pt")[0]
                if result.ndim == 3:  # Flux packs two by two latents into a token
                    result = self.pipeline._unpack_latents(result, size.height, size.width, self.pixels_per_latent)
                is_finite = bool(result.isfinite().all())
            except (MemoryError, RuntimeError, ValueError, TypeError) as error:
                if is_lost(error):
                    raise
                raise self._error_for(error, size) from error
            finally:
                self.pipeline.maybe_free_model_hooks()
        if not is_finite:
            raise NotFinite(f"{self.model.name}: the result is NaN or infinity in {self.precision}.")
        return result

    def decode(self, result: torch.Tensor) -> Iterator[Band]:
        """Yields the result of `run` as bands of pixels, float32, 0..1. Raises OutOfMemory and EngineError.

        Before the first band, running out of memory is handled as `attempt` does.
        """
        if not self._in_tiles:
            yield Band(0, result[0].permute(1, 2, 0).float().cpu().numpy())
            return
        latents = result.cpu()  # because the pipeline may leave the device

        def begin() -> tuple[Band, Iterator[Band]]:
            bands = self._decode(latents)
            return next(bands), bands

        first, others = self.attempt(begin)
        yield first
        yield from others

    def attempt(self, work: Callable[[], Result]) -> Result:
        """Returns the result of `work`, which calls `run`. After a failure the pipeline is loaded again, and `work`
        begins anew: with more of the weights off the device when memory runs out, in float32 for NaN or infinity.

        This is logged, and stays so. Raises OutOfMemory and EngineError when nothing is left to try.
        """
        while True:
            assert self.task is not None
            try:
                return work()
            except OutOfMemory:
                if not self._offload_more():
                    raise
            except NotFinite as error:
                if self.placement.dtype == torch.float32:
                    raise EngineError(f"{error} Its file is damaged, or a LoRA is too strong.") from error
                log.warning("%s Going on in fp32.", str(error))  # handlers keep what they are given
                self._precision = "fp32"
            self.close()  # first, or there would have to be room for both
            self.load(self.task)

    def _load(self, source: ModelFiles, task: Task, guide: ModelFiles | None) -> Any:
        """Returns the pipeline in its place; None when it did not fit and should be tried with more of it elsewhere."""
        options = self.options
        best = place(self.facts, options.device, options.memory, self._precision)
        self.placement = replace(best, offload=max(best.offload, self._least_offload, key=OFFLOADS.index))
        dtype = self.placement.dtype
        pipeline: Any = load(source, task, dtype=dtype, guide=guide, safety_checker=options.safety_checker)
        if getattr(pipeline, "vae", None) is None or getattr(pipeline, "image_processor", None) is None:
            raise ModelError(
                f"{self.model.name}: a {type(pipeline).__name__} is built in a way that is not supported. "
                "Choose another model, such as sdxl or sd15."
            )
        try:
            return put_in_place(pipeline, self.placement)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if not self._offload_more():
                raise OutOfMemory(
                    f"out of memory on {options.device}: {self.model.name} does not fit there. {options.advice}"
                ) from error
            return None

    def _decode(self, latents: torch.Tensor) -> Iterator[Band]:
        with report_loss(self.options.device), limit_memory(self.pipeline, self.placement):
            yield from decode(self.pipeline.vae, latents, tile=self.placement.vae_tile)

    def _offload_more(self) -> bool:
        """Decides that more of the weights wait off the device from now on; returns whether there is a way left."""
        where, offload = self.options.device, self.placement.offload
        if offload == OFFLOADS[-1] or where.type in ("cpu", "mps"):
            return False
        log.warning("out of memory on %s: going on with less of %s there, slower.", where, self.model.name)
        self._least_offload = OFFLOADS[OFFLOADS.index(offload) + 1]
        return True

    def _error_for(self, error: Exception, size: Size) -> UpscalerError:
        """Returns the error of this package for one that the pipeline has raised."""
        if is_out_of_memory(error):
            return OutOfMemory(
                f"out of memory on {self.options.device}: {self.model.name} has no room for {size}. "
                f"{self.options.advice}"
            )
        reason = first_line(error)
        if self.options.compile and isinstance(error, RuntimeError):
            return PlanError(f"the denoiser cannot be compiled here ({reason}). Leave it out.", argument="compile")
        return EngineError(f"{self.model.name}: a picture of {size} cannot be made ({reason}).")

    @property
    def _in_tiles(self) -> bool:
        return isinstance(self.pipeline.vae, IN_TILES)

    @property
    def _guidance_argument(self) -> str:
        """The argument that says how much the prompt counts."""
        return "true_cfg_scale" if "true_cfg_scale" in self.takes and not self.is_told_guidance else "guidance_scale"

    def _idle_negative(self, guidance: float) -> str | None:
        """Returns why a negative prompt would have no effect; None if it has one."""
        is_told = self.is_told_guidance and self._guidance_argument == "guidance_scale"
        if "negative_prompt" not in self.takes or is_told:
            return "this model takes none"
        return f"a `guidance` of {guidance:g} leaves it out" if guidance <= self.traits.unguided else None
