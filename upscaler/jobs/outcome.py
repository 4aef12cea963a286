"""Rules for which pictures of a job are made, the outcome of each, and a line that describes an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..engines import ImagePlan
from ..pipeline import Estimate
from ..text2image.parameters import GenerationParameters
from ..tiling import Plan, Size


@dataclass(frozen=True, slots=True)
class SelectionRules:
    """Rules that decide which pictures of a job are made."""

    force: bool = False
    """Makes pictures again that an earlier run has made."""
    retry_failed: bool = False
    """Retries inputs that failed in an earlier run."""
    skip_larger_than: Size | None = None
    """Leaves out sources that are wider or higher."""
    skip_at_least: Size | None = None
    """Leaves out sources that are as wide and as high, or more."""

    def reason_to_skip(self, size: Size) -> str | None:
        """Returns why a source of that size is left out; None if it is not."""
        largest, enough = self.skip_larger_than, self.skip_at_least
        if largest is not None and (size.width > largest.width or size.height > largest.height):
            return f"it has {size} pixels, more than {largest}"
        if enough is not None and size.width >= enough.width and size.height >= enough.height:
            return f"it has {size} pixels, {enough} or more"
        return None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one picture: made, done before, skipped or failed."""

    source: Path | GenerationParameters
    """The file, or what a generated picture was made from."""
    output: Path
    error: str | None
    """One sentence that names a file; None: the output is complete."""
    size: Size | None
    """The size of the result; None if there is none."""
    seconds: float
    """The time for reading, computing and writing, without waiting."""
    lr_rmse: float | None = None
    """See `Picture.lr_rmse`."""
    denoise: float | None = None
    """See `Estimate.denoise`; None if nothing was made."""
    device: str | None = None
    """The device that computed the picture; None if nothing was computed in this run."""
    precision: str | None = None
    """The precision in which it was computed."""
    frames: int | None = None
    """How many frames or pages were made; None for a single picture, and where it is not known."""
    was_done: bool = False
    """Whether an earlier run has made the output, and this one would make the same."""
    skipped: str | None = None
    """Why the source was left out."""
    warnings: tuple[str, ...] = ()
    """What was said of it while it was read and written, such as that further frames were left out."""
    faces: tuple[int, int] | None = None
    """How many faces were found, and how many of them were restored; None if none were looked for."""
    estimate: Estimate | None = None
    """The estimate of its sizes, tiles and memory; None if it failed, was skipped or was done before."""


def describe_estimate(estimate: Estimate, source: str, output: str, frames: int | None = None) -> str:
    """Returns one line: sizes, model, device, precision, passes, tiles, memory; of the first of several frames."""
    info = estimate.engine
    crop = estimate.crop
    part = "" if crop is None else f", of which {crop.size} at {crop.x},{crop.y}"
    count = f", {frames} frames or pages" if frames else ""
    sizes = f"{source} {estimate.source}{part} -> {output} {estimate.result}{count}"
    if not estimate.plans:
        is_same = estimate.result == (estimate.source if crop is None else crop.size)
        return f"{sizes}: {'written as it is' if is_same else 'resized, without the model'}"
    by = f" by {info.backend}" if info.backend else ""
    grids = [_grid(plan) for plan in estimate.plans]
    passes = "1 pass" if len(grids) == 1 else f"{len(grids)} passes"
    return (
        f"{sizes}: {info.name} on {info.device}, {info.precision}{by}; {passes}: {', then '.join(grids)}; "
        f"at most {max(round(estimate.memory / 2**20), 1)} MiB for tiles"
        f"{'; faces are looked for' if estimate.restores_faces else ''}"
    )


def _grid(plan: Plan | ImagePlan) -> str:
    together = f", {plan.batch} at a time" if plan.batch > 1 else ""
    if isinstance(plan, ImagePlan):
        steps = "1 step" if plan.steps == 1 else f"{plan.steps} steps"
        return f"{steps} of {plan.windows} {'window' if plan.windows == 1 else 'windows'} of {plan.tile}{together}"
    return f"{plan.count} {'tile' if plan.count == 1 else 'tiles'} of {plan.tile}{together}"
