"""The network that cleans a source at its own size, as spandrel knows it: a small DRUNet (Zhang et al. 2021)."""

from __future__ import annotations

import torch
from spandrel.architectures.DRUNet import DRUNet
from torch import nn

from .networks import export

FEATURES = (16, 48, 64, 96)
"""At full, half, quarter and eighth size: 0.09 million multiply-adds a source pixel, a field far above 60 pixels."""
BLOCKS = 2
"""At each size, down and up; spandrel reads no fewer."""
LEVEL = 15 / 255
"""What spandrel puts into the fourth channel, everywhere. Networks of this kind have no biases; this serves as one."""


class Clean(nn.Module):
    """A DRUNet with its fourth channel filled in: (N, 3, height, width) in 0..1, and the same cleaned."""

    def __init__(self, features: tuple[int, int, int, int] = FEATURES) -> None:
        super().__init__()
        self.network = DRUNet(in_nc=4, out_nc=3, nc=list(features), nb=BLOCKS)
        begin(self.network)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        level = torch.full_like(picture[:, :1], LEVEL)
        cleaned: torch.Tensor = self.network(torch.cat([picture, level], 1))
        return cleaned

    def export(self) -> dict[str, torch.Tensor]:
        """Returns the weights as spandrel loads them, float16 on the host."""
        return export(self.network)

    def start_from(self, found: dict[str, torch.Tensor]) -> None:
        """Continues from weights that `export` gave."""
        self.network.load_state_dict({name: value.float() for name, value in found.items()})


@torch.no_grad()
def begin(network: nn.Module) -> None:
    """Sets weights with which the network gives back what it gets, and of which each passes on most of what it gets.

    The head centres the pixels, which have learned twice as fast so; the tail undoes that.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            weight = layer.weight
            if layer.kernel_size == (2, 2):
                nn.init.orthogonal_(weight.view(len(weight), -1))
                if isinstance(layer, nn.ConvTranspose2d):
                    weight.mul_(0.1)
            elif name.endswith("res.0"):
                nn.init.normal_(weight, std=0.3 * (9 * weight.shape[1]) ** -0.5)
                weight[:, :, 1, 1] += torch.eye(len(weight))
            elif name.endswith("res.2"):
                nn.init.normal_(weight, std=0.1 * (9 * weight.shape[1]) ** -0.5)
    head, tail = network.get_submodule("m_head").weight, network.get_submodule("m_tail").weight
    assert isinstance(head, torch.Tensor)
    assert isinstance(tail, torch.Tensor)
    nn.init.normal_(head, std=0.2)
    head[:4] = 0
    for colour in range(3):
        head[colour, colour, 1, 1] = 1
        head[colour, 3, 1, 1] = -0.5 / LEVEL
    head[3, 3, 1, 1] = 0.5 / LEVEL
    nn.init.zeros_(tail)
    for name, layer in network.get_submodule("m_up1").named_modules():  # adds nothing to the pixels at first
        if isinstance(layer, nn.ConvTranspose2d):
            layer.weight[:, :4] = 0
        elif isinstance(layer, nn.Conv2d) and name.endswith("res.2"):
            layer.weight[:4] = 0
    for colour in range(3):
        tail[colour, colour, 1, 1] = 1
        tail[colour, 3, 1, 1] = 1
