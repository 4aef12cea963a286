"""Divides networks that have a deep trunk at the size of the source and a light tail that enlarges, so that they take a
fraction of the memory: the trunk is computed on a whole tile, the tail on one small part of its features at a time.

A network of another kind is left as it is. Transformers are of another kind even where they end in such a tail, because
their trunks take more memory for each pixel than their tails (measured: SwinIR, HAT, DAT and DRCT, as published).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from spandrel.architectures.__arch_helpers.block import RRDB, ResidualDenseBlock_5C, ShortcutBlock
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.RCAN import RCAN
from torch import nn

from ..tiling import divide_length

if TYPE_CHECKING:
    from collections.abc import Sequence

CPU_PART = 128
"""Side of a part of the tail on a CPU, in pixels of the trunk's features (measured: from 96 to 384, a pixel takes the
same time; at 64 twice that)."""

GPU_PART = 256
"""The same on a GPU. It takes 268 MB in half precision for Real-ESRGAN x4plus."""

POINTWISE = (nn.LeakyReLU, nn.ReLU, nn.PReLU, nn.GELU, nn.Identity)
"""Layers that look at one pixel at a time."""

RESIDUAL = 0.2
"""Share of a block's result that is added to what came in (ESRGAN, section 3.1)."""


class Tail(nn.Module):
    """The layers that enlarge, computed in parts that give what they give at once."""

    def __init__(self, layers: nn.Sequential, side: int) -> None:
        """Takes convolutions, activations and plain enlargements, and the side of a part in pixels of the features.

        Raises ValueError for layers of other kinds.
        """
        super().__init__()
        self.layers = layers
        self.side = side
        self.scale, self.reach = _scale_and_reach(layers)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Enlarges (tiles, channels, height, width)."""
        tiles, _, height, width = features.shape
        rows, columns = (divide_length(length, self.side, self.reach, self.scale) for length in (height, width))
        together = max(self.side**2 // (rows[0].place.stop * columns[0].place.stop // self.scale**2), 1)
        if tiles <= together and len(rows) == len(columns) == 1:
            whole: torch.Tensor = self.layers(features)
            return whole
        result: torch.Tensor | None = None
        for first in range(0, tiles, together):
            for row in rows:
                for column in columns:
                    part = self.layers(features[first : first + together, :, row.source, column.source])
                    if result is None:
                        size = (tiles, part.shape[1], height * self.scale, width * self.scale)
                        result = _empty_like(part, size)
                    inside = part[:, :, row.inside, column.inside]
                    result[first : first + together, :, row.place, column.place] = inside
                    del part, inside  # or they would be kept while the next part is computed
        assert result is not None
        return result


class DenseBlock(nn.Module):
    """ESRGAN's dense block. Earlier results lie side by side for each convolution, but only a few rows at a time."""

    def __init__(self, block: ResidualDenseBlock_5C, pixels: int) -> None:
        """Takes spandrel's block, and how many pixels the rows have that are computed together."""
        super().__init__()
        self.block = block
        self.pixels = pixels

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Returns what the block returns for (tiles, channels, height, width)."""
        block = self.block
        found: list[torch.Tensor] = [features, block.conv1(features)]
        for index, convolution in enumerate((block.conv2, block.conv3, block.conv4, block.conv5)):
            result = self._convolve(convolution, found)
            if block.conv1x1 is not None and index in (0, 2):
                result += block.conv1x1(features) if index == 0 else found[2]
            found.append(result)
        last = found[-1]
        return last.mul_(RESIDUAL).add_(features)

    def _convolve(self, convolution: nn.Module, found: Sequence[torch.Tensor]) -> torch.Tensor:
        """Convolves all channels of `found`, 3x3 pixels at a time."""
        tiles, _, height, width = found[0].shape
        result: torch.Tensor | None = None
        for rows in divide_length(height, max(self.pixels // (tiles * width), 1), reach=1):
            part: torch.Tensor = convolution(torch.cat([each[:, :, rows.source] for each in found], 1))
            if part.shape[2] == height:
                return part
            if result is None:
                result = _empty_like(part, (tiles, part.shape[1], height, width))
            result[:, :, rows.place] = part[:, :, rows.inside]
            del part
        assert result is not None
        return result


class ResidualBlock(nn.Module):
    """ESRGAN's block of three dense ones, with no copies of their results."""

    def __init__(self, block: RRDB, pixels: int) -> None:
        """Takes spandrel's block, and how many pixels the rows have that are computed together."""
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(each, pixels) for each in (block.RDB1, block.RDB2, block.RDB3)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Returns what the block returns for (tiles, channels, height, width)."""
        result: torch.Tensor = self.blocks(features)
        return result.mul_(RESIDUAL).add_(features)


def divide(model: nn.Module, device: torch.device) -> Tail | None:
    """Divides a network in place into its trunk and its tail, and returns the tail; None if it is of no such kind.

    Results stay the same, up to how the kernels of `device` round; memory for each pixel falls to what the trunk needs.
    """
    side = CPU_PART if device.type == "cpu" else GPU_PART
    try:
        if isinstance(model, ESRGAN):
            layers = list(model.model)
            end = next(index for index, layer in enumerate(layers) if isinstance(layer, ShortcutBlock)) + 1
            tail = Tail(nn.Sequential(*layers[end:]), side)
            body = layers[end - 1].sub
            for index, block in enumerate(body):
                if isinstance(block, RRDB):
                    body[index] = ResidualBlock(block, side**2)
            model.model = nn.Sequential(*layers[:end], tail)
            return tail
        if isinstance(model, RCAN):
            tail = Tail(model.tail, side)
            model.tail = tail
            return tail
    except ValueError:
        pass  # layers that these architectures do not have as published
    return None


def _scale_and_reach(layers: nn.Sequential) -> tuple[int, int]:
    """Returns how many times layers enlarge, and how far in pixels of their input they see.

    Raises ValueError for layers of which that is not known.
    """
    scale, reach = 1, 0.0
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d) and layer.stride == (1, 1) and layer.padding_mode == "zeros":
            sides = {
                (kernel - 1) * dilation for kernel, dilation in zip(layer.kernel_size, layer.dilation, strict=True)
            }
            if {2 * padding for padding in layer.padding} != sides or len(sides) != 1:
                raise ValueError(f"{layer} changes the size")
            reach += sides.pop() / 2 / scale
        elif isinstance(layer, nn.PixelShuffle):
            scale *= layer.upscale_factor
        elif isinstance(layer, nn.Upsample) and layer.mode == "nearest" and layer.scale_factor in (2, 3, 4):
            scale *= int(layer.scale_factor)
        elif type(layer).forward is not nn.Sequential.forward and not isinstance(layer, POINTWISE):
            raise ValueError(f"{layer} is not known")
    return scale, math.ceil(reach)


def _empty_like(part: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Returns a tensor of another size in the device, precision and layout of `part`."""
    is_last = part.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if is_last else torch.contiguous_format
    return torch.empty(size, dtype=part.dtype, device=part.device, memory_format=layout)
