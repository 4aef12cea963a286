"""Chooses the size in which a picture is generated, and brings the image that it begins from to this size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..arrays import FloatArray, to_float
from ..errors import PlanError
from ..picture import Picture, resize
from ..tiling import Size
from .parameters import GenerationParameters

SMALLEST = 64
"""Pixels of a side at least: fewer are a handful of latents, and no model has seen such a picture."""


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """The sizes that a model can generate, in pixels."""

    name: str
    """The model's name."""
    native: int
    """Side of the pictures that it was trained on."""
    multiple: int
    """The number by which each side must be divisible."""
    largest: int | None
    """Longest side; None: no limit but memory."""

    def choose(self, parameters: GenerationParameters, image: Size | None) -> Size:
        """Returns the size of the picture: the one asked for; else as many pixels as the model was trained on, in the
        proportions asked for, or those of the image to begin with, or a square.

        Raises PlanError for a size that is too small or too large for the model.
        """
        if parameters.size is not None:
            size = parameters.size
        else:
            ratio = parameters.ratio or (image.width / image.height if image is not None else 1.0)
            width = self.native * math.sqrt(ratio)
            size = Size(round(width), round(width / ratio))
        if min(size.width, size.height) < SMALLEST:
            raise PlanError(
                f"{self.name} makes no pictures with a side under {SMALLEST} pixels. Make it larger and shrink it.",
                argument="size",
                value=size,
            )
        extended = self.extend(size)
        if self.largest is not None and max(extended.width, extended.height) > self.largest:
            raise PlanError(
                f"{self.name} makes no pictures with a side over {self.largest} pixels. Make it smaller, such as "
                f"{self.native}x{self.native}, and have it enlarged.",
                argument="size",
                value=size,
            )
        return size

    def extend(self, size: Size) -> Size:
        """Returns the size to generate, of which `size` is the middle: sides rounded up to the model's multiple."""
        return size.round_up(self.multiple)


def crop_middle(pixels: FloatArray, size: Size) -> FloatArray:
    """Returns the middle, of this size, of a picture (height, width, channels) that is at least as large."""
    top, left = (pixels.shape[0] - size.height) // 2, (pixels.shape[1] - size.width) // 2
    return pixels[top : top + size.height, left : left + size.width]


def fit_image(picture: Picture, size: Size) -> FloatArray:
    """Returns the image that generating begins from in this size, float32, (height, width, 3), 0..1: its middle where
    the proportions differ, and on white where it is transparent."""
    values = to_float(picture.pixels)
    colour = values[:, :, :-1] if picture.has_alpha else values
    if picture.has_alpha:
        alpha = values[:, :, -1:]
        colour = colour * alpha + (1 - alpha)
    own = picture.size
    factor = min(own.width / size.width, own.height / size.height)
    width, height = size.width * factor, size.height * factor
    left, top = max((own.width - width) / 2, 0), max((own.height - height) / 2, 0)  # rounding gives -1e-14
    fitting = resize(colour, size, (left, top, min(left + width, own.width), min(top + height, own.height)))
    return np.array(np.broadcast_to(fitting.clip(0, 1), (size.height, size.width, 3)))
