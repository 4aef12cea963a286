"""Losses."""

from __future__ import annotations

import torch

from training.losses import charbonnier, decibels, halo


def test_halo_is_what_lies_beyond_everything_nearby() -> None:
    bar = torch.full((1, 3, 32, 32), 0.8)
    bar[..., 12:20] = 0.2
    assert halo(bar, bar) == 0
    assert halo(bar.roll(2, -1), bar) == 0  # an edge that is off is another error
    assert halo(bar.roll(3, -1), bar) > 0
    rung = bar.clone()
    rung[..., 14:18] = 0.1
    rung[..., 22] = 0.9
    assert torch.isclose(halo(rung, bar), torch.tensor(0.1 * 5 / 32))


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
