"""Which pictures are made, and one line that says what making one takes."""

from __future__ import annotations

import numpy as np

from upscaler import Picture, Size, Target
from upscaler.jobs.outcome import SelectionRules, describe_estimate
from upscaler.pipeline import Pipeline


def test_description_holds_sizes_model_device_passes_tiles_memory() -> None:
    picture = Picture.from_array(np.zeros((40, 600), np.uint8))
    estimate = Pipeline("lanczos").estimate(picture, Target(scale=6))
    assert describe_estimate(estimate, "a", "b") == (
        f"a 600x40 -> b 3600x240: lanczos on cpu, fp32; 2 passes: {estimate.plans[0].count} tile of "
        f"{estimate.plans[0].tile}, then {estimate.plans[1].count} tile of {estimate.plans[1].tile}; "
        f"at most {round(estimate.memory / 2**20)} MiB for tiles"
    )


def test_rules_leave_out_sources_by_their_size_and_say_why() -> None:
    rules = SelectionRules(skip_larger_than=Size(100, 50), skip_at_least=Size(80, 40))
    assert rules.reason_to_skip(Size(80, 39)) is None
    assert rules.reason_to_skip(Size(101, 1)) == "it has 101x1 pixels, more than 100x50"
    assert rules.reason_to_skip(Size(80, 40)) == "it has 80x40 pixels, 80x40 or more"
    assert SelectionRules().reason_to_skip(Size(10**6, 10**6)) is None
