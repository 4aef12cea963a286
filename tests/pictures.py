"""Pictures the tests use: the samples, and what can be drawn with a line of numpy."""

from pathlib import Path

import numpy as np

from upscaler import codecs
from upscaler.arrays import FloatArray, to_float

SAMPLES = Path(__file__).parent.parent / "samples"
PHOTOS = ("astronaut.jpg", "coffee.jpg", "chelsea.png", "camera.jpg")
ALL = (*PHOTOS, "text.png", "lineart.png", "logo.png")


def sample(name: str) -> FloatArray:
    """A sample as float32 RGB without alpha, (height, width, 3)."""
    pixels = to_float(codecs.decode(SAMPLES / name).pixels)
    colour = pixels[:, :, :-1] if pixels.shape[2] in (2, 4) else pixels
    return np.array(np.broadcast_to(colour, (*colour.shape[:2], 3)))
