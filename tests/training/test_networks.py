"""What enlarges is what spandrel loads, and a larger network begins with what a smaller one computes."""

from __future__ import annotations

import pytest
import spandrel
import torch
from torch import nn

from training.networks import export, make_compact, start_from


def make_trained(features: int, convolutions: int) -> nn.Module:
    """Makes a network whose every weight has moved from where it began."""
    torch.manual_seed(0)
    network = make_compact(features, convolutions)
    for value in network.parameters():
        value.data += 0.02 * torch.randn_like(value)
    return network.eval()


@torch.no_grad()
def test_weights_are_loaded_by_spandrel_and_compute_the_same() -> None:
    network = make_trained(16, 3)
    loaded = spandrel.ModelLoader().load_from_state_dict(export(network))
    assert loaded.scale == 4
    picture = torch.rand(1, 3, 24, 32)
    expected = network(picture)
    assert (loaded.model.float()(picture) - expected).abs().max() < 0.01 * expected.abs().max()


@torch.no_grad()
def test_starting_from_written_weights_computes_the_same() -> None:
    network = make_trained(16, 3)
    another = make_compact(16, 3)
    start_from(another, export(network))
    picture = torch.rand(1, 3, 24, 32)
    assert torch.allclose(another(picture), network(picture), atol=2e-3)


@pytest.mark.parametrize("size", [(16, 4), (24, 3), (24, 7)])
@torch.no_grad()
def test_starting_from_a_smaller_network_computes_what_it_computes(size: tuple[int, int]) -> None:
    small = make_trained(16, 3)
    large = make_compact(*size)
    start_from(large, export(small))
    picture = torch.rand(1, 3, 24, 32)
    assert torch.allclose(large(picture), small(picture), atol=5e-3)
