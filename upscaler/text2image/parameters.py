"""Everything that one generated picture depends on beside the model, in a form that JSON can hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..diffusion.options import Lora, check_sampling
from ..errors import PlanError
from ..picture import Picture
from ..tiling import Size
from .styles import find_style

ASPECT = re.compile(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", re.ASCII)

NARROWEST = 8.0
"""Times that one side may be longer than the other: no model has seen narrower pictures."""


@dataclass(frozen=True, slots=True)
class GenerationParameters:
    """Everything that one picture depends on beside the model. The model chooses what is None.

        GenerationParameters("a (red:1.3) boat", negative="people", aspect="16:9", steps=30, seed=7)

    Raises PlanError for a number out of its range, for conflicting arguments, and for an unknown style.
    """

    prompt: str
    """A description of the picture; weights of words are written as "(red:1.3)"."""
    negative: str = ""
    """A description of what must not be in the picture."""
    style: str | None = None
    """The name of one of `styles()`."""
    size: Size | None = None
    aspect: str | None = None
    """Width and height in proportion, such as "16:9", with as many pixels as the model was trained on."""
    steps: int | None = None
    """Steps of the whole way from noise to picture, 1 to 1000; with an `image` only the last of them are computed."""
    guidance: float | None = None
    """How much the prompt counts, 0 to 100."""
    seed: int = 0
    """The seed of the noise: the same seed gives the same picture."""
    image: str | Path | Picture | None = None
    """A picture from which generating begins, in place of noise."""
    strength: float = 0.6
    """How much of the image is drawn anew, 0.01 to 1, which is all of it."""
    loras: tuple[Lora, ...] = ()
    """Changes to the model's weights."""

    def __post_init__(self) -> None:
        if not self.prompt.strip() and self.image is None:
            raise PlanError("the prompt is empty. Say what is in the picture.")
        for argument in ("prompt", "negative"):
            if any("\ud800" <= character <= "\udfff" for character in getattr(self, argument)):
                raise PlanError("the text is not Unicode. Write it again.", argument=argument)
        if self.size is not None and self.aspect is not None:
            raise PlanError("`size` and `aspect` exclude each other. Choose one of them.")
        if self.size is not None and min(self.size.width, self.size.height) < 1:
            raise PlanError("each side must be at least 1.", argument="size", value=self.size)
        if self.aspect is not None and not 1 / NARROWEST <= _parse_ratio(self.aspect) <= NARROWEST:
            raise PlanError(
                f"these are not proportions of at most {NARROWEST:g} to 1. Write 16:9.",
                argument="aspect",
                value=self.aspect,
            )
        check_sampling(self.steps, self.guidance, self.seed)
        if not 0.01 <= self.strength <= 1:
            raise PlanError("the value must be between 0.01 and 1.", argument="strength", value=f"{self.strength:g}")
        if self.style is not None:
            find_style(self.style)

    def __str__(self) -> str:
        """Returns the prompt, which stands for the picture in messages and reports."""
        return self.prompt.strip() or "picture"

    @property
    def text(self) -> str:
        """The prompt in the words of the style."""
        return find_style(self.style).prompt.replace("{prompt}", self.prompt) if self.style else self.prompt

    @property
    def negative_text(self) -> str:
        """The negative prompt with that of the style."""
        return ", ".join(filter(None, (self.negative, find_style(self.style).negative if self.style else "")))

    @property
    def ratio(self) -> float | None:
        """Width divided by height as `aspect` says; None without one."""
        return None if self.aspect is None else _parse_ratio(self.aspect)

    def asdict(self) -> dict[str, Any]:
        """Returns the fields as JSON can hold them, for `from_dict`; of an image that is a `Picture` only its name."""
        image = self.image.name if isinstance(self.image, Picture) else self.image
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "size": None if self.size is None else [self.size.width, self.size.height],
            "image": None if image is None else str(image),
            "loras": [[lora.file, lora.weight] for lora in self.loras],
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> GenerationParameters:
        """Makes parameters from what `asdict` returned; missing fields have their defaults. Raises PlanError."""
        try:
            size, loras = values.get("size"), values.get("loras", ())
            read = {"size": None if size is None else Size(*size), "loras": tuple(Lora(*lora) for lora in loras)}
            return GenerationParameters(**{**values, **read})
        except (TypeError, ValueError, AttributeError) as error:
            raise PlanError(
                f"the generation parameters cannot be read ({error}). Another version has written them."
            ) from error


def _parse_ratio(aspect: str) -> float:
    """Returns width divided by height; 0 for a text that is not two numbers with a colon between them."""
    found = ASPECT.fullmatch(aspect.strip())
    return float(found[1]) / float(found[2]) if found and float(found[2]) else 0.0
