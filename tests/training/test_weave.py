"""A pattern that a pixel shuffle makes is told from detail."""

from __future__ import annotations

import torch

from training.losses import weave


def test_weave_is_the_pattern_of_four_pixels_and_nothing_else() -> None:
    torch.manual_seed(0)
    truth = torch.rand(2, 3, 64, 64)
    pattern = 0.1 * torch.randn(4, 4).repeat(16, 16)
    lighter, noisy = truth + 0.2, truth + 0.1 * torch.randn(2, 3, 64, 64)
    assert weave(truth, truth) == 0
    assert weave(lighter, truth) < 1e-6
    assert weave(noisy, truth) < 0.02
    assert weave(truth + pattern, truth) > 0.05
