"""Losses."""

from __future__ import annotations

import torch

from training.losses import halo


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
