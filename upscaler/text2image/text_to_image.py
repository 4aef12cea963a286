"""Pictures from text: `TextToImage`, which loads its model at the first call and makes one picture at a time.

It turns generation parameters into the arguments of a pipeline, which `diffusion.runner` loads and runs.
"""

from __future__ import annotations

import functools
import logging
import math
import threading
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch

from .. import catalog, codecs
from ..arrays import FloatArray
from ..catalog import Model
from ..device import is_out_of_memory, pick_device
from ..diffusion.memory import VAE_TILES, Offload, memory_needed
from ..diffusion.messages import quiet
from ..diffusion.prompts import unknown_words
from ..diffusion.runner import PipelineRunner, RunnerOptions
from ..errors import EngineError, ModelError, OutOfMemory, PlanError
from ..picture import Picture
from ..progress import ProgressCallback
from ..tiling import Size
from .choice import choose
from .parameters import GenerationParameters
from .sizes import SizeLimits, crop_middle, fit_image

log = logging.getLogger("upscaler")

STEPS: Final = 30
"""Steps where neither the user nor the catalog says how many, unless the pipeline takes fewer by default."""

FAR: Final = 2
"""A model draws things twice in pictures with more than this many times the pixels that it was trained on."""

ADVICE: Final = "Make it smaller and have it enlarged, choose a smaller model, or close other programs."


class TextToImage:
    """Makes pictures from text with one model, which is loaded at the first call and kept.

        with TextToImage("sdxl") as generator:
            picture = generator("a lighthouse at (dusk:1.2)", aspect="16:9", seed=7)

    It may be used from several threads.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        device: str | None = None,
        precision: str = "auto",
        memory: int | None = None,
        safety_checker: bool = True,
        allow_pickle: bool = False,
        offline: bool | None = None,
    ) -> None:
        """Finds `model`: a name of the catalog, a repository, a folder or a file; None has one chosen for this machine.
        `device`, `precision`: as for `Upscaler`. `memory`: bytes that the model may take; None is what is free.
        `safety_checker`: whether the safety checker of a model, if it has one, may refuse pictures.
        `allow_pickle`: whether weights may be pickles, which can run programs. `offline`: whether fetching is
        forbidden; None is what the environment says.

        Raises ModelError when there is no such model or it makes no pictures, PlanError for the device.
        """
        self._arguments: dict[str, Any] = {
            "device": device,
            "precision": precision,
            "memory": memory,
            "safety_checker": safety_checker,
            "allow_pickle": allow_pickle,
            "offline": offline,
        }
        where = pick_device(device)
        self.model: Model
        self.model, self.reason = choose(where, memory, offline=offline) if model is None else (catalog.find(model), "")
        """Why this model was chosen; empty if the caller named it."""
        self._named = model or self.model.name
        facts = self.model.facts
        if not (facts.takes_diffusion and facts.loader):  # a repository's index tells more once it is fetched
            raise ModelError(
                f"{self._named}: this model makes no pictures from text. Choose a generator, such as sdxl or sd15."
            )
        options = RunnerOptions(**{**self._arguments, "device": where}, advice=ADVICE)
        self._runner = PipelineRunner(self.model, options)
        self._lock = threading.RLock()
        self._warned_words: set[str] = set()

    def __call__(
        self, prompt: str | GenerationParameters, /, *, progress: ProgressCallback | None = None, **parameters: Any
    ) -> Picture:
        """Generates a picture: 8-bit RGB, with the colour profile of the image it began with, if there was one.

        `prompt` is a text or `GenerationParameters`; `parameters` are fields of these, and replace those in `prompt`.
        `progress` is told the steps.

        Raises PlanError for what this model cannot make, ModelError for whatever is wrong with it or with a LoRA,
        PictureError for the image to begin with, EngineError when computing fails or the safety checker objects.
        """
        asked = (
            replace(prompt, **parameters)
            if isinstance(prompt, GenerationParameters)
            else GenerationParameters(prompt, **parameters)
        )
        with self._lock:
            image = _read_image(asked)
            complete = self._complete(asked, image)
            assert complete.size is not None
            self._warn_of_size(complete.size)
            self._warn_of_words(asked.prompt)
            pixels = crop_middle(self._runner.attempt(lambda: self._draw(complete, image, progress)), complete.size)
        rounded = np.rint(pixels * np.float32(255)).astype(np.uint8)
        return Picture(rounded, image.profile if image else None, name=str(asked))

    def complete(self, parameters: GenerationParameters) -> GenerationParameters:
        """Returns the parameters with this model's own values of size, steps and guidance where they name none.

        Loads the model. Raises PlanError, ModelError and PictureError as a call does.
        """
        with self._lock:
            return self._complete(parameters, _read_image(parameters))

    def close(self) -> None:
        """Frees the model. A later call loads it again."""
        with self._lock:
            self._runner.close()

    def on(self, device: str | None) -> TextToImage:
        """Returns the same model, even if chosen automatically, for another device, with nothing loaded."""
        return TextToImage(self._named, **{**self._arguments, "device": device})

    def __reduce__(self) -> tuple[object, ...]:
        """Returns how to make this object in another process, which loads its own model."""
        return functools.partial(TextToImage, self._named, **self._arguments), ()

    def __enter__(self) -> TextToImage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @functools.cached_property
    def requested_settings(self) -> dict[str, Any]:
        """The arguments of this object, as JSON can hold them; the model's weights by their hash.

        The model's files are fetched, and not loaded. Raises ModelError.
        """
        options = self._runner.options
        catalog.fetch_model(self.model, offline=options.offline, allow_pickle=options.allow_pickle)
        return {
            "model": self._named,
            "weights": [catalog.fingerprint(self.model, options.allow_pickle)],
            "precision": options.precision,
            "safety_checker": options.safety_checker,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that its pictures depend on beside the parameters, as JSON can hold them. Loads the model."""
        with self._lock:
            self._runner.load(self._runner.task or "text-to-image")
            scheduler = type(self._runner.pipeline.scheduler).__name__
            return {**self.requested_settings, "scheduler": scheduler, "precision": self._runner.precision}

    def _complete(self, parameters: GenerationParameters, image: Picture | None) -> GenerationParameters:
        runner = self._runner
        runner.load("text-to-image" if image is None else "image-to-image")
        limits = self._limits
        size = limits.choose(parameters, image.size if image else None)
        self._refuse_too_large(size, limits)
        guidance = runner.guidance if parameters.guidance is None else parameters.guidance
        steps = parameters.steps or runner.sampling.steps or min(runner.takes["num_inference_steps"].default, STEPS)
        if image is not None:  # only a share of the steps is computed, and that must be at least one
            steps = max(steps, math.ceil(1 / parameters.strength))
        return replace(parameters, size=size, aspect=None, steps=steps, guidance=float(guidance))

    @property
    def _limits(self) -> SizeLimits:
        """The sizes of the loaded model: a VAE makes one latent of several pixels, a transformer one token of several
        latents, and some pipelines pack several of these."""
        runner = self._runner
        config = runner.denoiser.config
        patch = int(config.get("patch_size") or 1)
        multiple = math.lcm(runner.pixels_per_latent * patch, runner.pipeline.image_processor.config.vae_scale_factor)
        table = config.get("pos_embed_max_size")  # SD3's limit, in tokens a side
        native = runner.sampling.side or runner.facts.window * runner.pixels_per_latent
        return SizeLimits(self.model.name, native, multiple, table and table * multiple)

    def _draw(
        self, parameters: GenerationParameters, image: Picture | None, progress: ProgressCallback | None
    ) -> FloatArray:
        """Returns pixels (height, width, 3), 0..1, of the size in complete `parameters`, extended for the model."""
        runner, steps, guidance = self._runner, parameters.steps, parameters.guidance
        assert parameters.size is not None
        assert steps is not None
        assert guidance is not None
        size = self._limits.extend(parameters.size)
        runner.set_loras(parameters.loras)
        sides = {"width": size.width, "height": size.height}
        inputs: dict[str, Any] = {name: side for name, side in sides.items() if name in runner.takes}
        if image is not None:
            pixels = torch.from_numpy(fit_image(image, size)).permute(2, 0, 1)[None]
            inputs |= {"image": pixels, "strength": parameters.strength}

        def arguments() -> dict[str, Any]:
            positive, negative = parameters.text, parameters.negative_text
            return runner.arguments(positive, negative, guidance, steps, warns=bool(parameters.negative)) | inputs

        result = runner.run(arguments, size, seed=parameters.seed, progress=progress)
        drawn = np.concatenate([band.pixels for band in runner.decode(result)])
        self._refuse_unsafe(drawn)
        return drawn

    def _refuse_unsafe(self, pixels: FloatArray) -> None:
        """Raises EngineError when the model has a safety checker and that objects to the pixels."""
        pipeline = self._runner.pipeline
        if getattr(pipeline, "safety_checker", None) is None:
            return
        with torch.inference_mode(), quiet():
            device, dtype = pipeline._execution_device, self._runner.denoiser.dtype
            try:
                _, flags = pipeline.run_safety_checker(pixels[None].copy(), device, dtype)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                raise OutOfMemory(f"out of memory on {device}: there is no room for the safety checker.") from error
        if any(flags):
            raise EngineError(
                f"{self.model.name}: the safety checker objects to this picture. Try another seed or prompt, or do "
                "without it (`safety_checker`)."
            )

    def _refuse_too_large(self, size: Size, limits: SizeLimits) -> None:
        """Raises PlanError when more memory is needed than there is, unless the model was trained on this size."""
        runner = self._runner
        extended, native = limits.extend(size), limits.native
        if extended.pixels <= native**2:
            return
        where = runner.options.device
        side = math.ceil(math.sqrt(extended.pixels) / runner.pixels_per_latent)
        offload: Offload = "none" if where.type in ("cpu", "mps") else "group"
        least = replace(runner.placement, window=side, batch=1, offload=offload, vae_tile=VAE_TILES[-1])
        budget, needed = runner.placement.budget, memory_needed(runner.facts, least)
        if needed > budget:
            raise PlanError(
                f"about {needed / 1e9:.0f} GB are needed on {where}, and {budget / 1e9:.0f} GB may be used. Make it "
                f"{native}x{native} and have it enlarged.",
                argument="size",
                value=size,
            )

    def _warn_of_size(self, size: Size) -> None:
        native = self._limits.native
        if size.pixels > FAR * native**2:
            log.warning(
                "`size` %s: %s was trained on %dx%d, and beyond it draws things twice. Make it smaller and have it "
                "enlarged.",
                *(size, self.model.name, native, native),
            )

    def _warn_of_words(self, prompt: str) -> None:
        """Warns once of each word that the model does not know, and names those that it knows if they are few."""
        found = unknown_words(self._runner.pipeline, prompt.lower())
        if new := [word for word in found if word not in self._warned_words]:
            self._warned_words.update(new)
            knows = f" It knows {self.model.knows}." if self.model.knows else ""
            log.warning("%s: this model does not know %s and ignores it.%s", self.model.name, ", ".join(new), knows)


def generate(
    prompt: str | GenerationParameters, /, *, model: str | None = None, device: str | None = None, **parameters: Any
) -> Picture:
    """Generates one picture: short for `TextToImage(model, device=device)(prompt, **parameters)`.

    For several pictures keep a `TextToImage`, because this function loads the model at each call.
    """
    with TextToImage(model, device=device) as generator:
        return generator(prompt, **parameters)


def _read_image(parameters: GenerationParameters) -> Picture | None:
    return None if parameters.image is None else codecs.decode(parameters.image)
