"""The network that cleans."""

from __future__ import annotations

import spandrel
import torch
from torch import nn

from training.cleaning import Clean


def test_cleaning_begins_with_what_it_gets_and_is_loaded_by_spandrel_as_drunet() -> None:
    torch.manual_seed(0)
    network = Clean((8, 8, 16, 16)).eval()
    picture = torch.rand(1, 3, 24, 32)
    with torch.no_grad():
        assert torch.allclose(network(picture), picture, atol=1e-5)
        for value in network.parameters():
            value.add_(0.02 * torch.randn_like(value))
        loaded = spandrel.ModelLoader().load_from_state_dict(network.export())
        assert (loaded.architecture.name, loaded.scale, loaded.input_channels) == ("DRUNet", 1, 3)
        expected = network(picture).clamp(0, 1)
        assert (loaded(picture) - expected).abs().max() < 0.01 * expected.abs().max()


def test_cleaning_needs_no_more_arithmetic_than_it_may() -> None:
    operations = 0

    def count(layer: nn.Module, given: tuple[torch.Tensor, ...], result: torch.Tensor) -> None:
        nonlocal operations
        places = (given[0] if isinstance(layer, nn.ConvTranspose2d) else result).shape[-2:].numel()
        operations += places * sum(value.numel() for value in layer.parameters())

    network = Clean()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    network(torch.rand(1, 3, 64, 64))
    assert operations / 64**2 < 100_000


@torch.no_grad()
def test_cleaning_sees_sixty_pixels() -> None:
    torch.manual_seed(0)
    network = Clean().eval()
    for value in network.parameters():
        value.add_(0.05 * torch.randn_like(value))
    grey = torch.full((1, 3, 128, 128), 0.5)
    spotted = grey.clone()
    spotted[..., 64:72, 64:72] = 1
    changed = ((network(spotted) - network(grey)).abs().amax(1)[0] > 1e-6).nonzero()
    assert (changed.amax(0) - changed.amin(0)).min() > 60 + 8
