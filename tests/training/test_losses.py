"""Losses."""

from __future__ import annotations

import torch

from training.losses import charbonnier, decibels, weave


def test_decibels_hardly_weigh_a_picture_by_how_wrong_it_is() -> None:
    truth = torch.rand(2, 3, 16, 16, generator=torch.manual_seed(0)) / 2
    wrong = truth.clone().requires_grad_()
    with torch.no_grad():
        wrong += torch.tensor([0.03, 0.3])[:, None, None, None]

    def pull(loss: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(loss, wrong)[0].abs().mean((1, 2, 3))

    small, large = pull(decibels(wrong, truth))
    assert large < small  # a tenth of the error is worth as much in dB, and is reached by less
    small, large = pull(charbonnier(wrong, truth))
    assert small < large
    assert decibels(truth, truth) == 0


def test_weave_is_the_pattern_of_four_pixels_and_nothing_else() -> None:
    torch.manual_seed(0)
    truth = torch.rand(2, 3, 64, 64)
    pattern = 0.1 * torch.randn(4, 4).repeat(16, 16)
    lighter, noisy = truth + 0.2, truth + 0.1 * torch.randn(2, 3, 64, 64)
    assert weave(truth, truth) == 0
    assert weave(lighter, truth) < 1e-6
    assert weave(noisy, truth) < 0.02
    assert weave(truth + pattern, truth) > 0.05
