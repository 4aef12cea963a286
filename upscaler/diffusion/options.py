"""What a user may ask of a diffusion model; what is left open is the model's own."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import PlanError

LONGEST_SCHEDULE = 1000
"""Steps: what these models were trained on."""

LARGEST_SEED = 2**63


@dataclass(frozen=True, slots=True)
class Diffusion:
    """How a diffusion model shall work. Raises PlanError for a number out of its range."""

    prompt: str = ""
    """What is in the picture; empty: whatever the model sees in it, and for half the work."""
    negative: str = ""
    """What shall not be."""
    creativity: float = 0.25
    """0..1: how much may be drawn anew."""
    steps: int | None = None
    """Of the whole way from noise to picture; where a picture is only refined, its last part is gone."""
    guidance: float | None = None
    """How much the prompt counts; None: more with more creativity."""
    seed: int = 0
    """Of the noise: the same seed gives the same picture."""
    control: str | None = None
    """The ControlNet that holds a refined picture to its source: a model's name, repository or folder."""
    compile: bool = False
    """Compiles the denoiser first: minutes once, for steps that are faster afterwards."""
    allow_pickle: bool = False
    """Whether weights may be pickles, which can run programs when they are loaded."""

    def __post_init__(self) -> None:
        if not 0 <= self.creativity <= 1:
            raise PlanError(f"--creativity {self.creativity:g}: is not between 0 and 1.")
        if self.steps is not None and not 1 <= self.steps <= LONGEST_SCHEDULE:
            raise PlanError(f"--steps {self.steps}: is not between 1 and {LONGEST_SCHEDULE}.")
        if self.guidance is not None and not 0 <= self.guidance <= 100:
            raise PlanError(f"--guidance {self.guidance:g}: is not between 0 and 100.")
        if not 0 <= self.seed < LARGEST_SEED:
            raise PlanError(f"--seed {self.seed}: is not between 0 and {LARGEST_SEED - 1}.")

    def noise(self, largest: int) -> int:
        """Levels of noise that an upscaler adds to its source, 0..`largest`: 20 of 350 unless told otherwise, as
        StableDiffusionUpscalePipeline has it."""
        return min(round(320 * self.creativity**2), largest)

    @property
    def strength(self) -> float:
        """Share of the way from noise to picture that a picture is sent back, 0..1."""
        return round(0.1 + 0.7 * self.creativity, 6)

    def guided(self, full: float) -> float:
        """The guidance for a model whose own is `full`; 1, which is none, where there is no text to be guided by."""
        if self.guidance is not None:
            return self.guidance
        if not (self.prompt or self.negative):
            return min(full, 1.0)
        return 1 + (full - 1) * min(0.5 + self.creativity, 1.0) if full > 1 else full
