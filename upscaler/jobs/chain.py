"""The two models that make a picture from a prompt, and the recipe they leave in it; and back, from the recipe to them.

Nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import recipe
from ..diffusion.options import Diffusion
from ..errors import PlanError
from ..files import sha256
from ..pipeline import Pipeline
from ..recipe import Recipe
from ..target import Paper, Target
from ..text2image.parameters import GenerationParameters
from ..text2image.text_to_image import TextToImage
from ..tiling import Size

FRAMES = {"fit": Size, "at_least": Size, "print": Paper}
"""Fields of `Target` that are more than a number."""

COMMON = ("precision", "fidelity")
"""Settings of an upscaler that are fields of `PipelineOptions`, whatever the model."""

KEPT = ("model", "blend", "denoise", *COMMON)
"""All of them, but for a `Diffusion`."""


@dataclass(frozen=True, slots=True)
class GenerateJob:
    """What makes pictures. Of its two models only one is in memory at a time."""

    generator: TextToImage
    upscaler: Pipeline | None
    """None: pictures stay as they are generated."""
    target: Target
    keeps_original: bool = False
    """Whether what is generated is also written, as NAME_original."""

    def settings(self) -> Settings:
        """The files of both models are fetched, and neither is loaded."""
        if self.upscaler is None:
            return Settings(self.generator.requested_settings, None)
        model = recipe.reference(self.upscaler.model)
        enlarging = {**self.upscaler.settings, "model": model, "target": asdict(self.target)}
        return Settings(self.generator.requested_settings, enlarging)

    def recipe_of(self, parameters: GenerationParameters, size: Size) -> Recipe:
        """Of a picture as it has just been generated; `parameters` is complete."""
        return Recipe(
            parameters=parameters.asdict(),
            prompt=parameters.text,
            negative=parameters.negative_text,
            generator=self.generator.settings,
            files=files(parameters),
            generated=size,
            upscaler=None,
            size=size,
            versions=recipe.versions(),
        )

    def size(self, generated: Size) -> Size:
        """Of the result, as far as it is known without the network. Raises PlanError for an impossible one."""
        return generated if self.upscaler is None else self.target.size(generated, self.upscaler.model.scale or 1)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked of both models for all pictures of a chain, as JSON can hold it."""

    generator: Mapping[str, Any]
    upscaler: Mapping[str, Any] | None


def files(parameters: GenerationParameters) -> dict[str, str]:
    """The hashes of those that a wish names; that one is not there is found out later."""
    names = [lora.file for lora in parameters.loras]
    if isinstance(parameters.image, str | Path):
        names.append(str(parameters.image))
    return {name: sha256(Path(name)) for name in names if Path(name).is_file()}


def upscaler_options(made: Recipe, model: str | None = None) -> dict[str, Any]:
    """The model and the fields of `PipelineOptions` that a recipe names; with `model`, another one, only those that
    suit any model. Empty if the recipe names none. Raises PlanError.

    Whether pickles may be loaded is not for a picture to say.
    """
    if made.upscaler is None:
        return {}
    options = {name: made.upscaler[name] for name in (KEPT if model is None else COMMON) if name in made.upscaler}
    diffusion = made.upscaler.get("diffusion")
    if diffusion is not None and model is None:
        try:
            options["diffusion"] = Diffusion(**{**diffusion, "allow_pickle": False})
        except TypeError as error:
            raise PlanError(_unreadable(error)) from error
    return options


def target_of(made: Recipe) -> Target:
    """The size that a recipe asks for. Raises PlanError."""
    asked: Any = {} if made.upscaler is None else made.upscaler.get("target", {})
    try:
        frames: dict[str, Any] = {name: kind(**asked[name]) for name, kind in FRAMES.items() if asked.get(name)}
        return Target(**{**asked, **frames})
    except (TypeError, AttributeError) as error:
        raise PlanError(_unreadable(error)) from error


def _unreadable(error: Exception) -> str:
    return (
        f"the recipe's settings of the upscaler cannot be read ({error}). Say with --model and --scale what you want."
    )
