"""What is trained is what spandrel loads."""

from __future__ import annotations

import pytest
import spandrel
import torch
from torch import nn

from training.networks import ARCHITECTURES, Folded, Judge, start_from, weights

SIZES = {"plain": (16, 3), "folded": (16, 3), "span": (16, 0), "plksr": (16, 4)}


def trained(architecture: str, size: tuple[int, int]) -> nn.Module:
    """A network whose every weight has moved from where it began."""
    torch.manual_seed(0)
    network = ARCHITECTURES[architecture](*size)
    for value in network.parameters():
        value.data += 0.02 * torch.randn_like(value)
    return network.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_weights_are_loaded_by_spandrel_and_compute_the_same(architecture: str) -> None:
    network = trained(architecture, SIZES[architecture])
    loaded = spandrel.ModelLoader().load_from_state_dict(weights(network))
    assert loaded.scale == 4
    picture = torch.rand(1, 3, 24, 32)
    expected = network(picture)
    assert (loaded.model.float()(picture) - expected).abs().max() < 0.01 * expected.abs().max()


@torch.no_grad()
def test_folded_convolution_computes_at_first_what_the_plain_one_does() -> None:
    plain = nn.Conv2d(8, 8, 3, padding=1)
    picture = torch.randn(1, 8, 9, 9)
    assert torch.allclose(Folded(plain)(picture), plain(picture), atol=1e-5)


@pytest.mark.parametrize("architecture", ["plain", "folded"])
@torch.no_grad()
def test_starting_from_written_weights_computes_the_same(architecture: str) -> None:
    network = trained(architecture, (16, 3))
    another = ARCHITECTURES[architecture](16, 3)
    start_from(another, weights(network))
    picture = torch.rand(1, 3, 24, 32)
    assert torch.allclose(another(picture), network(picture), atol=2e-3)


@pytest.mark.parametrize("architecture", ["plain", "folded"])
@pytest.mark.parametrize("size", [(16, 4), (24, 3), (24, 7)])
@torch.no_grad()
def test_starting_from_a_smaller_network_computes_what_it_computes(architecture: str, size: tuple[int, int]) -> None:
    small = trained("plain", (16, 3))
    large = ARCHITECTURES[architecture](*size)
    start_from(large, weights(small))
    picture = torch.rand(1, 3, 24, 32)
    assert torch.allclose(large(picture), small(picture), atol=5e-3)


def test_judge_that_has_settled_changes_no_more() -> None:
    judge = Judge(4)
    judge.settle()
    before = {name: value.clone() for name, value in judge.state_dict().items()}
    verdict = judge(torch.rand(2, 3, 32, 32))
    assert verdict.shape == (2, 1, 16, 16)
    assert all(torch.equal(value, before[name]) for name, value in judge.state_dict().items())
