"""The two models that make a picture from a prompt, and the recipe they leave in it; and back, from the recipe to them.

Nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import recipe
from ..catalog import sha256_of
from ..diffusion.options import Diffusion
from ..errors import PlanError
from ..generation.generator import Generator
from ..generation.wish import Wish
from ..pipeline import Upscaler
from ..recipe import Recipe
from ..target import Target
from ..tiling import Size

KEPT = ("model", "precision", "strength", "fidelity", "denoise")
"""Settings of an upscaler that are arguments of `Upscaler`."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What makes pictures. Of its two models only one is in memory at a time."""

    generator: Generator
    upscaler: Upscaler | None
    """None: pictures stay as they are generated."""
    target: Target
    keeps_original: bool = False
    """Whether what is generated is also written, as NAME_original."""

    def settings(self) -> Settings:
        """The files of both models are fetched, and the generator is loaded."""
        if self.upscaler is None:
            return Settings(self.generator.settings, None)
        model = recipe.reference(self.upscaler.model)
        enlarging = {**self.upscaler.settings, "model": model, "target": asdict(self.target)}
        return Settings(self.generator.settings, enlarging)

    def size(self, generated: Size) -> Size:
        """Of the result, as far as it is known without the network. Raises PlanError for an impossible one."""
        return generated if self.upscaler is None else self.target.size(generated, self.upscaler.model.scale or 1)


@dataclass(frozen=True, slots=True)
class Settings:
    """What all pictures of a chain depend on, as JSON can hold it."""

    generator: Mapping[str, Any]
    upscaler: Mapping[str, Any] | None

    def recipe(self, wish: Wish, size: Size) -> Recipe:
        """Of a picture as it is generated; `wish` is complete."""
        return Recipe(
            wish=wish.asdict(),
            prompt=wish.text,
            negative=wish.negative_text,
            generator=self.generator,
            files=files(wish),
            generated=size,
            upscaler=None,
            size=size,
            versions=recipe.versions(),
        )


def files(wish: Wish) -> dict[str, str]:
    """The hashes of those that a wish names; that one is not there is found out later."""
    names = [lora.file for lora in wish.loras]
    if isinstance(wish.init, str | Path):
        names.append(str(wish.init))
    return {name: sha256_of(Path(name)) for name in names if Path(name).is_file()}


def upscaler_options(made: Recipe) -> dict[str, Any]:
    """The arguments of the `Upscaler` that a recipe names; none if it names none. Raises PlanError.

    Whether pickles may be loaded is not for a picture to say.
    """
    if made.upscaler is None:
        return {}
    options = {name: made.upscaler[name] for name in KEPT if name in made.upscaler}
    diffusion = made.upscaler.get("diffusion")
    if diffusion is not None:
        try:
            options["diffusion"] = Diffusion(**{**diffusion, "allow_pickle": False})
        except TypeError as error:
            raise PlanError(_unreadable(error)) from error
    return options


def target_of(made: Recipe) -> Target:
    """The size that a recipe asks for. Raises PlanError."""
    asked: Any = {} if made.upscaler is None else made.upscaler.get("target", {})
    try:
        sizes: dict[str, Any] = {name: Size(**value) for name, value in asked.items() if isinstance(value, dict)}
        return Target(**{**asked, **sizes})
    except (TypeError, AttributeError) as error:
        raise PlanError(_unreadable(error)) from error


def _unreadable(error: Exception) -> str:
    return (
        f"the recipe's settings of the upscaler cannot be read ({error}). Say with --model and --scale what you want."
    )
