"""Options of diffusion models, in a form that needs no torch; None leaves the choice to the model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import PlanError

LONGEST_SCHEDULE = 1000
"""Steps that these models were trained on."""

LARGEST_SEED = 2**63


@dataclass(frozen=True, slots=True)
class Lora:
    """A small file of changes to a model's weights. Raises PlanError for a weight that is out of range."""

    file: str
    weight: float = 1.0
    """How much of the changes is added, -4 to 4; 1 is as they were trained."""

    def __post_init__(self) -> None:
        if not -4 <= self.weight <= 4:
            raise PlanError(
                "the weight must be between -4 and 4.", argument="loras", value=f"{self.file}:{self.weight:g}"
            )

    @staticmethod
    def parse(text: str) -> Lora:
        """Reads a LoRA that is written as "FILE" or "FILE:WEIGHT". Raises PlanError for a weight out of range."""
        found = re.fullmatch(r"(.+):([+-]?(?:\d+\.?\d*|\.\d+))", text)
        return Lora(text) if found is None else Lora(found[1], float(found[2]))


@dataclass(frozen=True, slots=True)
class Diffusion:
    """The options of a diffusion model when it enlarges. Raises PlanError for a number out of its range.

    Upscaler("sd-x4", diffusion=Diffusion(prompt="a (tabby:1.3) cat", creativity=0.4, seed=7))
    """

    prompt: str = ""
    """A description of the picture; weights of words are written as "(red:1.3)". Without one the model is guided by the
    picture alone, for half the work."""
    negative: str = ""
    """A description of what must not be in the picture."""
    creativity: float = 0.25
    """How much may be drawn anew, 0 to 1."""
    steps: int | None = None
    """Steps of the whole way from noise to picture, 1 to 1000. A picture that is only refined takes a share of them."""
    guidance: float | None = None
    """How much the prompt counts, 0 to 100; None: more with more creativity."""
    seed: int = 0
    """The seed of the noise: the same seed gives the same picture."""
    control: str | None = None
    """The ControlNet that holds a refined picture to its source: a model's name, repository or folder."""
    compile: bool = False
    """Whether the denoiser is compiled first: that takes minutes once, and the steps are faster afterwards."""
    allow_pickle: bool = False
    """Whether weights may be pickles, which can run programs when they are loaded."""

    def __post_init__(self) -> None:
        if not 0 <= self.creativity <= 1:
            raise PlanError("the value must be between 0 and 1.", argument="creativity", value=f"{self.creativity:g}")
        check_sampling(self.steps, self.guidance, self.seed)

    def noise(self, largest: int) -> int:
        """Returns the level of noise that an upscaler adds to its source, 0 to `largest`: 20 of 350 at the default
        creativity, as StableDiffusionUpscalePipeline has it."""
        return min(round(320 * self.creativity**2), largest)

    @property
    def strength(self) -> float:
        """Share of the way from noise to picture that a picture is sent back, 0..1."""
        return round(0.1 + 0.7 * self.creativity, 6)

    def guidance_for(self, full: float) -> float:
        """Returns the guidance to use. If none was set: at most 1, which is no guidance, without a prompt; else more
        with more creativity, up to the model's own, `full`."""
        if self.guidance is not None:
            return self.guidance
        if not (self.prompt or self.negative):
            return min(full, 1.0)
        return 1 + (full - 1) * min(0.5 + self.creativity, 1.0) if full > 1 else full


def check_sampling(steps: int | None, guidance: float | None, seed: int) -> None:
    """Raises PlanError for steps, guidance or a seed out of range; None is left to the model."""
    if steps is not None and not 1 <= steps <= LONGEST_SCHEDULE:
        raise PlanError(f"the value must be between 1 and {LONGEST_SCHEDULE}.", argument="steps", value=steps)
    if guidance is not None and not 0 <= guidance <= 100:
        raise PlanError("the value must be between 0 and 100.", argument="guidance", value=f"{guidance:g}")
    if not 0 <= seed < LARGEST_SEED:
        raise PlanError(f"the value must be between 0 and {LARGEST_SEED - 1}.", argument="seed", value=seed)
