"""Real-ESRGAN's two networks, with the names of arguments and weights that its checkpoints and their users have."""

from __future__ import annotations

from typing import Final

import torch
from spandrel.architectures.Compact import Compact
from torch import Tensor, nn
from torch.nn import functional

SHUFFLES: Final[dict[int, int]] = {1: 4, 2: 2}
"""Side of the blocks of pixels that RRDBNet takes as channels, by scale; 1 for every other scale."""

RESIDUAL = 0.2
"""Share of a block's result that is added to what came in (ESRGAN, section 3.1)."""

SLOPE = 0.2
"""Slope of the rectifiers below zero."""


class SRVGGNetCompact(Compact):  # type: ignore[misc]  # spandrel has no types
    """The small network; spandrel's class takes its arguments by name only."""

    def __init__(
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        num_feat: int = 64,
        num_conv: int = 16,
        upscale: int = 4,
        act_type: str = "prelu",
    ) -> None:
        super().__init__(
            num_in_ch=num_in_ch,
            num_out_ch=num_out_ch,
            num_feat=num_feat,
            num_conv=num_conv,
            upscale=upscale,
            act_type=act_type,
        )


class RRDBNet(nn.Module):
    """The network of ESRGAN (Wang et al., 2018), which enlarges by 4.

    For `scale` 2 and 1 it takes blocks of pixels as channels, as in Real-ESRGAN (Wang et al., 2021).
    """

    def __init__(
        self,
        num_in_ch: int,
        num_out_ch: int,
        scale: int = 4,
        num_feat: int = 64,
        num_block: int = 23,
        num_grow_ch: int = 32,
    ) -> None:
        super().__init__()
        self.shuffle = SHUFFLES.get(scale, 1)
        self.conv_first = _convolution(num_in_ch * self.shuffle**2, num_feat)
        self.body = nn.Sequential(*(_ResidualInResidual(num_feat, num_grow_ch) for _ in range(num_block)))
        self.conv_body = _convolution(num_feat, num_feat)
        self.conv_up1 = _convolution(num_feat, num_feat)
        self.conv_up2 = _convolution(num_feat, num_feat)
        self.conv_hr = _convolution(num_feat, num_feat)
        self.conv_last = _convolution(num_feat, num_out_ch)

    def forward(self, picture: Tensor) -> Tensor:
        """Enlarges (pictures, num_in_ch, height, width), sides divisible by `shuffle`, to num_out_ch channels."""
        features = self.conv_first(functional.pixel_unshuffle(picture, self.shuffle))
        features = features + self.conv_body(self.body(features))
        for convolution in (self.conv_up1, self.conv_up2):
            larger = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = _rectify(convolution(larger))
        result: Tensor = self.conv_last(_rectify(self.conv_hr(features)))
        return result


class _ResidualInResidual(nn.Module):
    """Three dense blocks with a residual connection around them."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = _Dense(features, growth)
        self.rdb2 = _Dense(features, growth)
        self.rdb3 = _Dense(features, growth)

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.rdb3(self.rdb2(self.rdb1(features)))
        return torch.add(features, residual, alpha=RESIDUAL)


class _Dense(nn.Module):
    """Five convolutions; each takes the input and the results of all before it."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = _convolution(features, growth)
        self.conv2 = _convolution(features + growth, growth)
        self.conv3 = _convolution(features + 2 * growth, growth)
        self.conv4 = _convolution(features + 3 * growth, growth)
        self.conv5 = _convolution(features + 4 * growth, features)

    def forward(self, features: Tensor) -> Tensor:
        known = features
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            known = torch.cat((known, _rectify(convolution(known))), 1)
        residual: Tensor = self.conv5(known)
        return torch.add(features, residual, alpha=RESIDUAL)


def _convolution(channels: int, results: int) -> nn.Conv2d:
    return nn.Conv2d(channels, results, 3, padding=1)


def _rectify(values: Tensor) -> Tensor:
    return functional.leaky_relu(values, SLOPE, inplace=True)
