"""What makes one generated picture: everything a user may wish for, in a form that JSON can hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..diffusion.options import LARGEST_SEED, LONGEST_SCHEDULE
from ..errors import PlanError
from ..picture import Picture
from ..tiling import Size
from .styles import style

ASPECT = re.compile(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", re.ASCII)

NARROWEST = 8.0
"""Times that one side may be longer than the other: beyond, no model has seen a picture."""


@dataclass(frozen=True, slots=True)
class Lora:
    """A small file of changes to a model's weights, and how much of them. Raises PlanError."""

    file: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not -4 <= self.weight <= 4:
            raise PlanError(f"--lora {self.file}:{self.weight:g}: its weight is not between -4 and 4.")

    @staticmethod
    def parse(text: str) -> Lora:
        """From "FILE" or "FILE:WEIGHT". Raises PlanError."""
        found = re.fullmatch(r"(.+):([+-]?(?:\d+\.?\d*|\.\d+))", text)
        return Lora(text) if found is None else Lora(found[1], float(found[2]))


@dataclass(frozen=True, slots=True)
class GenerationParameters:
    """Everything that one picture depends on, beside the model. What is None is left to the model.

    Raises PlanError for a number out of its range, for options at odds, and for a style that there is not.
    """

    prompt: str
    negative: str = ""
    """What shall not be in the picture."""
    style: str | None = None
    """The name of one of `styles()`."""
    size: Size | None = None
    aspect: str | None = None
    """Width and height in proportion, such as "16:9", with as many pixels as the model was trained on."""
    steps: int | None = None
    """Of the whole way from noise to picture; where there is a picture to begin with, its first part is left out."""
    guidance: float | None = None
    """How much the prompt counts."""
    seed: int = 0
    image: str | Path | Picture | None = None
    """A picture to begin with."""
    strength: float = 0.6
    """How much of that is drawn anew, 0.01 to 1, which is all of it."""
    loras: tuple[Lora, ...] = ()

    def __post_init__(self) -> None:
        if not self.prompt.strip() and self.image is None:
            raise PlanError("the prompt is empty. Say what shall be in the picture.")
        if self.size is not None and self.aspect is not None:
            raise PlanError("--size and --aspect: choose one of them.")
        if self.size is not None and min(self.size.width, self.size.height) < 1:
            raise PlanError(f"--size {self.size}: each side must be at least 1.")
        if self.aspect is not None and not 1 / NARROWEST <= _ratio(self.aspect) <= NARROWEST:
            raise PlanError(f"--aspect {self.aspect}: one side is more than {NARROWEST:g} times the other. Write 16:9.")
        if self.steps is not None and not 1 <= self.steps <= LONGEST_SCHEDULE:
            raise PlanError(f"--steps {self.steps}: is not between 1 and {LONGEST_SCHEDULE}.")
        if self.guidance is not None and not 0 <= self.guidance <= 100:
            raise PlanError(f"--guidance {self.guidance:g}: is not between 0 and 100.")
        if not 0 <= self.seed < LARGEST_SEED:
            raise PlanError(f"--seed {self.seed}: is not between 0 and {LARGEST_SEED - 1}.")
        if not 0.01 <= self.strength <= 1:
            raise PlanError(f"--strength {self.strength:g}: is not between 0.01 and 1.")
        if self.style is not None:
            style(self.style)

    @property
    def text(self) -> str:
        """The prompt, in the words of the style."""
        return style(self.style).prompt.replace("{prompt}", self.prompt) if self.style else self.prompt

    @property
    def negative_text(self) -> str:
        """What shall not be, for the wish or for its style."""
        return ", ".join(filter(None, (self.negative, style(self.style).negative if self.style else "")))

    @property
    def ratio(self) -> float | None:
        """Width by height, if that is wished for by `aspect`."""
        return None if self.aspect is None else _ratio(self.aspect)

    def asdict(self) -> dict[str, Any]:
        """As JSON can hold it, for `from_dict`; of a `Picture` to begin with only its name."""
        image = self.image.name if isinstance(self.image, Picture) else self.image
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "size": None if self.size is None else [self.size.width, self.size.height],
            "image": None if image is None else str(image),
            "loras": [[lora.file, lora.weight] for lora in self.loras],
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> GenerationParameters:
        """What `asdict` gave, read again; what is missing is as if it had not been wished for. Raises PlanError."""
        try:
            size, loras = values.get("size"), values.get("loras", ())
            read = {"size": None if size is None else Size(*size), "loras": tuple(Lora(*lora) for lora in loras)}
            return GenerationParameters(**{**values, **read})
        except (TypeError, ValueError, AttributeError) as error:
            raise PlanError(f"the wish cannot be read ({error}). It was written by another version.") from error


def _ratio(aspect: str) -> float:
    """Width by height; 0 if it is none."""
    found = ASPECT.fullmatch(aspect.strip())
    return float(found[1]) / float(found[2]) if found and float(found[2]) else 0.0
