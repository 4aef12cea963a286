"""One pipeline of diffusers on its device: how its class is called for a wish, and what of its result is a picture."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from diffusers import AutoencoderDC, AutoencoderKL, AutoencoderKLFlux2, AutoencoderTiny

from ..arrays import FloatArray
from ..catalog import Sampling
from ..diffusion.load import quiet
from ..diffusion.prompts import text_arguments
from ..diffusion.vae import decode
from ..errors import EngineError, ModelError
from ..picture import Picture
from ..tiling import Size
from .parameters import GenerationParameters
from .sizes import SizeLimits, begun_with

log = logging.getLogger("upscaler")

Progress: TypeAlias = Callable[[int, int], None]
"""Called as steps are done: how many, of how many in all."""

STEPS: Final = 30
"""Where neither the user nor the catalog says, unless the class of the pipeline has fewer by default."""

IN_TILES: Final = (AutoencoderKL, AutoencoderKLFlux2, AutoencoderTiny, AutoencoderDC)
"""VAEs that `diffusion.vae` decodes; what has another is decoded by its pipeline."""

FIXED: Final = {"use_resolution_binning": False, "clean_caption": False}
"""Options of some pipelines: sizes are chosen here, and what becomes of a prompt shall not depend on what else is
installed."""


class Painter:
    """Makes pictures of one pipeline, text to image or image to image."""

    def __init__(self, name: str, pipeline: Any, sampling: Sampling, window: int) -> None:
        """`window`: latents a side that the model was trained on. Raises ModelError for a pipeline without a VAE."""
        if getattr(pipeline, "vae", None) is None or getattr(pipeline, "image_processor", None) is None:
            raise ModelError(
                f"{name}: is a {type(pipeline).__name__}, which is built in another way than those that can be used "
                "here. Choose another model, such as sdxl or sd15."
            )
        self.pipeline = pipeline
        self.cell: int = pipeline.vae.config.get("spatial_compression_ratio") or pipeline.vae_scale_factor
        """Pixels of a latent, along a side."""
        self._name = name
        self._sampling = sampling
        self._window = window
        self._takes = inspect.signature(type(pipeline).__call__).parameters
        self._denoiser: Any = getattr(pipeline, "transformer", None) or pipeline.unet

    @property
    def abilities(self) -> SizeLimits:
        """A VAE makes a latent of some pixels, a transformer a token of some latents, and some pipelines of more."""
        patch = int(self._denoiser.config.get("patch_size") or 1)
        multiple = int(np.lcm(self.cell * patch, self.pipeline.image_processor.config.vae_scale_factor))
        table = self._denoiser.config.get("pos_embed_max_size")  # of SD3: so many tokens a side
        native = self._sampling.side or self._window * self.cell
        return SizeLimits(self._name, native, multiple, table and table * multiple)

    def steps(self, parameters: GenerationParameters) -> int:
        """Of the whole way: enough of them that one is done, where the picture that is begun with spares some."""
        own = self._takes["num_inference_steps"].default
        steps: int = parameters.steps or self._sampling.steps or min(own, STEPS)
        while parameters.image is not None and int(steps * parameters.strength) < 1:
            steps += 1
        return steps

    def guidance(self, parameters: GenerationParameters) -> float:
        """How much the prompt counts, as the pipeline understands it."""
        chosen = self._sampling.guidance if parameters.guidance is None else parameters.guidance
        own = self._takes.get(self._guided_by)
        return float(chosen if chosen is not None else own.default if own else 1.0)

    def paint(
        self, parameters: GenerationParameters, size: Size, image: Picture | None, tile: int, progress: Progress | None
    ) -> FloatArray:
        """Pixels (height, width, 3), 0..1, of a size that `abilities` allow. `tile` is in latents, for the VAE.

        Raises FloatingPointError when what comes out are no numbers, EngineError when the pipeline fails otherwise,
        PlanError for the prompt, and torch.OutOfMemoryError or OutOfMemory.
        """
        decodes = isinstance(self.pipeline.vae, IN_TILES)
        with torch.inference_mode(), quiet(), self._bar(progress):
            try:
                call = self._call(parameters, size) | (
                    {} if image is None else self._beginning(parameters, image, size)
                )
                generator = torch.Generator("cpu").manual_seed(parameters.seed)  # the same noise on every device
                result = self.pipeline(
                    **call, generator=generator, output_type="latent" if decodes else "np", return_dict=False
                )[0]
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, ValueError, TypeError) as error:
                reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
                raise EngineError(f"{self._name}: cannot make this picture of {size} ({reason}).") from error
            finally:
                self.pipeline.maybe_free_model_hooks()
            return self._decoded(result, size, tile) if decodes else _checked(self._name, result[0])

    def refuse_unsafe(self, pixels: FloatArray) -> None:
        """Raises EngineError when the model has a safety checker and that objects to a picture."""
        if getattr(self.pipeline, "safety_checker", None) is None:
            return
        with torch.inference_mode(), quiet():
            seen, device = pixels[None].copy(), self.pipeline._execution_device
            _, flags = self.pipeline.run_safety_checker(seen, device, self._denoiser.dtype)
        if any(flags):
            raise EngineError(
                f"{self._name}: its safety checker objects to this picture. Try another seed or prompt, or turn it off."
            )

    @property
    def _guided_by(self) -> str:
        """The argument. What is not told how much it is guided, is guided by computing without the prompt as well."""
        is_told = self._denoiser.config.get("guidance_embeds")
        return "true_cfg_scale" if "true_cfg_scale" in self._takes and not is_told else "guidance_scale"

    def _call(self, parameters: GenerationParameters, size: Size) -> dict[str, Any]:
        steps, guidance = self.steps(parameters), self.guidance(parameters)
        negative = parameters.negative_text if self._heeds_negative(parameters, guidance) else ""
        call = text_arguments(self.pipeline, self._name, parameters.text, negative)
        options: dict[str, Any] = {"width": size.width, "height": size.height, self._guided_by: guidance, **FIXED}
        if self._guided_by == "true_cfg_scale":
            options["negative_prompt"] = call.get("negative_prompt", " ")  # without any there is no guidance
        if steps != 2:
            options["intermediate_timesteps"] = None  # SANA-Sprint's default is for two steps
        return call | {"num_inference_steps": steps} | {key: it for key, it in options.items() if key in self._takes}

    def _beginning(self, parameters: GenerationParameters, image: Picture, size: Size) -> dict[str, Any]:
        pixels = torch.from_numpy(begun_with(image, size)).permute(2, 0, 1)[None]
        return {"image": pixels, "strength": parameters.strength}

    def _heeds_negative(self, parameters: GenerationParameters, guidance: float) -> bool:
        """Says so where it is wished for in vain."""
        is_told = self._denoiser.config.get("guidance_embeds") and self._guided_by == "guidance_scale"
        unguided = 0.0 if type(self.pipeline).__name__.startswith("ZImage") else 1.0  # that counts from there
        if "negative_prompt" not in self._takes or is_told:
            reason = "takes no --negative"
        elif guidance <= unguided:
            reason = f"draws with --guidance {guidance:g}, and so --negative has no effect"
        else:
            return True
        if parameters.negative:
            log.warning("%s: %s.", self._name, reason)
        return False

    def _decoded(self, latents: torch.Tensor, size: Size, tile: int) -> FloatArray:
        if latents.ndim == 3:  # Flux packs two by two latents into a token
            latents = self.pipeline._unpack_latents(latents, size.height, size.width, self.cell)
        if not latents.isfinite().all():
            raise FloatingPointError(f"{self._name}: its steps do not end in numbers (NaN or infinity).")
        return np.concatenate([band.pixels for band in decode(self.pipeline.vae, latents, tile=tile)])

    @contextmanager
    def _bar(self, report: Progress | None) -> Iterator[None]:
        """While open, what the pipeline takes for its progress bar reports steps."""
        self.pipeline.progress_bar = lambda total: _Bar(report, total)
        try:
            yield
        finally:
            del self.pipeline.progress_bar


@dataclass(slots=True)
class _Bar:
    """What pipelines expect of a bar."""

    report: Progress | None
    total: int
    done: int = 0

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self) -> None:
        self.done += 1
        if self.report is not None:
            self.report(self.done, self.total)


def _checked(name: str, pixels: FloatArray) -> FloatArray:
    if not np.isfinite(pixels).all():
        raise FloatingPointError(f"{name}: its steps do not end in numbers (NaN or infinity).")
    return pixels
