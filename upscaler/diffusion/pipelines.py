"""Facts about diffusers' pipeline classes that the signatures of their calls do not tell: one row a task, one row a
family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Task: TypeAlias = Literal["upscale", "image-to-image", "text-to-image"]


@dataclass(frozen=True, slots=True)
class TaskClass:
    """The class of pipeline that does a task with the parts of a generator."""

    ending: str
    """The end of the class's name, in place of "Pipeline" at the end of the class for text to image."""
    takes: frozenset[str]
    """Parameters that a call of such a class has."""
    refusal: str
    """End of the error message when the model has no such class."""


TASKS: Final[dict[Task, TaskClass]] = {
    "text-to-image": TaskClass(
        "Pipeline", frozenset({"prompt", "height", "width"}), "which makes no pictures from text"
    ),
    "image-to-image": TaskClass(
        "Img2ImgPipeline", frozenset({"prompt", "image", "strength"}), "which cannot begin with a picture"
    ),
}
"""The tasks of generators; "upscale" is what the classes in `catalog.diffusers_layout.UPSCALERS` do and no others."""


@dataclass(frozen=True, slots=True)
class Traits:
    """The differences between a family of pipelines and Stable Diffusion's."""

    layer: int | None = None
    """Index into the hidden states of CLIP's text encoders that the UNet is conditioned on; None is the last of them
    after the final norm."""
    pooled: str | None = None
    """The attribute of a text encoder's output that sums up the whole text; None: the pipeline takes no such sum."""
    unguided: float = 1.0
    """The guidance up to which the negative prompt is not computed."""
    drops_prompt_at_zero: bool = False
    """Whether a guidance of 0 means that the prompt is not computed either."""
    scale: int = 1
    """How many times larger than its source the result is, along a side."""
    source: Literal["latents", "pixels"] = "latents"
    """The form in which the pipeline takes its source."""
    multiple: int | None = None
    """Number of pixels by which the sides of the source must be divisible; None: as many as its denoiser needs."""
    minimum: int = 1
    """Pixels that a side of the source has at least."""


TRAITS: Final[dict[str, Traits]] = {
    "StableDiffusionXL": Traits(-2, "text_embeds"),
    "StableDiffusionUpscale": Traits(scale=4, source="pixels", multiple=8),
    "StableDiffusionLatentUpscale": Traits(
        -1, "pooler_output", drops_prompt_at_zero=True, scale=2, multiple=32, minimum=64
    ),
    "ZImage": Traits(unguided=0.0),
}
"""Families by the beginning of the class's name, as of diffusers 0.42."""

FIXED: Final = {"use_resolution_binning": False, "clean_caption": False}
"""Arguments of some pipelines that always have these values: sizes are chosen by the callers, and the effect of a
prompt must not depend on which other libraries are installed."""


def traits(pipeline: Any) -> Traits:
    """Returns the row of a pipeline's family, or for those without one the default, which is Stable Diffusion's."""
    name = type(pipeline).__name__
    return next((row for beginning, row in TRAITS.items() if name.startswith(beginning)), Traits())
