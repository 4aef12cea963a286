"""Which size a picture is made at, for the size it shall have: pure arithmetic."""

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
"""Pixels of a side: fewer are a handful of latents, of which no model has seen a picture."""

FAR = 2
"""Times as many pixels as a model was trained on, from which on it draws things twice."""


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """Which sizes a model can make; all in pixels of a side."""

    name: str
    native: int
    """Of the pictures it was trained on."""
    multiple: int
    """By what each side is divisible."""
    largest: int | None
    """None: no limit but memory."""

    def asked(self, parameters: GenerationParameters, image: Size | None) -> Size:
        """What the picture shall have: the wish's size, or as many pixels as the model was trained on.

        Raises PlanError for what is too small or too large for the model.
        """
        if parameters.size is not None:
            size = parameters.size
        else:
            ratio = parameters.ratio or (image.width / image.height if image is not None else 1.0)
            width = self.native * math.sqrt(ratio)
            size = Size(round(width), round(width / ratio))
        if min(size.width, size.height) < SMALLEST:
            raise PlanError(
                f"--size {size}: {self.name} makes no pictures with a side under {SMALLEST} pixels. Make it larger "
                "and have it shrunk."
            )
        made = self.made(size)
        if self.largest is not None and max(made.width, made.height) > self.largest:
            raise PlanError(
                f"--size {size}: {self.name} makes no pictures with a side over {self.largest} pixels. Make it "
                f"smaller, such as {self.native}x{self.native}, and have it enlarged."
            )
        return size

    def made(self, size: Size) -> Size:
        """What is made of it: a little larger, for the model's multiple."""
        return Size(*(-(-side // self.multiple) * self.multiple for side in (size.width, size.height)))

    def is_far_beyond(self, size: Size) -> bool:
        """Whether the model will draw things twice."""
        return size.pixels > FAR * self.native**2


def within(pixels: FloatArray, size: Size) -> FloatArray:
    """The middle of a picture (height, width, channels) that is as large or larger."""
    top, left = (pixels.shape[0] - size.height) // 2, (pixels.shape[1] - size.width) // 2
    return pixels[top : top + size.height, left : left + size.width]


def begun_with(picture: Picture, size: Size) -> FloatArray:
    """A picture as one to begin with: (height, width, 3), 0..1, in this size. Its middle, where the proportions are
    others; on white, where it is transparent."""
    values = to_float(picture.pixels)
    colour = values[:, :, :-1] if picture.has_alpha else values
    if picture.has_alpha:
        alpha = values[:, :, -1:]
        colour = colour * alpha + (1 - alpha)
    own = picture.size
    factor = min(own.width / size.width, own.height / size.height)
    width, height = size.width * factor, size.height * factor
    left, top = (own.width - width) / 2, (own.height - height) / 2
    fitting = resize(colour, size, (left, top, left + width, top + height))
    return np.array(np.broadcast_to(fitting.clip(0, 1), (size.height, size.width, 3)))
