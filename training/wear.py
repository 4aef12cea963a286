"""Sources as people have them: noise, film grain, compression again and again, scans, night.

Each function gives two pictures: the worn one, and the same without what a cleaning network is to take out. Softness
and resizing are in both, since a cleaning network leaves the size and the sharpness of its source alone. Which truths
are worn is left to `worn_data`, milder sources to `degradation`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from upscaler.arrays import PixelArray

from .degradation import FILTERS, Random, demosaiced, encoded, pick, pixels

Levels = npt.NDArray[np.float32]
"""Pixels between two steps, 0..255, not rounded."""


class Worn(NamedTuple):
    """Both are uint8 RGB, (height, width, 3)."""

    source: PixelArray
    clean: PixelArray


def worn(picture: PixelArray, random: Random) -> Worn:
    """One of the kinds below; an eighth stay as they are, so that a network learns to leave them alone."""
    return pick(KINDS, random)(picture, random)


def untouched(picture: PixelArray, random: Random) -> Worn:
    """A clean picture; half of them saved once at a quality at which nothing is seen."""
    if random.random() < 0.5:
        return Worn(picture, picture)
    return Worn(jpeg(picture, random, 93, 99), picture)


def noisy(picture: PixelArray, random: Random) -> Worn:
    """Noise of 1 to 30 levels; two thirds are compressed after it."""
    source = with_noise(picture, random, 1, 30)
    return Worn(jpeg(source, random, 25, 95) if random.random() < 0.67 else source, picture)


def compressed(picture: PixelArray, random: Random) -> Worn:
    """A little noise at most, then a file of quality 10 to 95."""
    source = with_noise(picture, random, 0.5, 4) if random.random() < 0.4 else picture
    return Worn(saved(source, random, 10, 95), picture)


def shared(picture: PixelArray, random: Random) -> Worn:
    """Saved, made smaller or larger by another program, and saved again."""
    height, width = picture.shape[:2]
    source = with_noise(picture, random, 1, 16) if random.random() < 0.6 else picture
    source = saved(source, random, 20, 90)
    factor = float(random.uniform(0.6, 1.6))
    between = (max(8, round(width * factor)), max(8, round(height * factor)))
    there, back = pick(FILTERS, random), pick(FILTERS, random)

    def resized(each: PixelArray) -> PixelArray:
        return np.asarray(Image.fromarray(each).resize(between, there).resize((width, height), back))

    return Worn(saved(resized(source), random, 20, 95), resized(picture))


def scanned(picture: PixelArray, random: Random) -> Worn:
    """A print: soft, with grain, and in half of them the dots of a press."""
    soft = picture
    if random.random() < 0.7:
        soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), random.uniform(0.3, 1.0)), np.uint8)
    levels = grain(soft.astype(np.float32), random.uniform(2, 18), random)
    if random.random() < 0.5:
        levels += dots(soft.shape[0], soft.shape[1], random)
    source = pixels(levels)
    return Worn(saved(source, random, 40, 95) if random.random() < 0.7 else source, soft)


def dark(picture: PixelArray, random: Random) -> Worn:
    """Few photons, blotches of colour, and what a telephone saves of it. The tone of the picture stays: to darken it is
    left to `dimmed`, which a truth needs too."""
    height, width = picture.shape[:2]
    strength = random.uniform(0.5, 2.5)
    noise = random.standard_normal((height, width, 3), np.float32) * np.sqrt(picture + 8.0) * strength
    blotches = cv2.GaussianBlur(
        random.standard_normal((height, width, 3), np.float32), (0, 0), random.uniform(0.8, 2.5)
    )
    blotches *= random.uniform(0, 8) / (blotches.std() + 1e-6)
    source = pixels(picture + noise + blotches)
    if random.random() < 0.3:
        source = demosaiced(source)
    return Worn(saved(source, random, 40, 95) if random.random() < 0.8 else source, picture)


def dimmed(picture: PixelArray, random: Random) -> PixelArray:
    """As at night: darker, its shadows more than its lamps."""
    share = np.arange(256) / 255
    curve = 255 * random.uniform(0.35, 0.9) * share ** random.uniform(1, 1.8)
    return pixels(curve)[picture]


def with_noise(picture: PixelArray, random: Random, least: float, most: float) -> PixelArray:
    """Of a sensor or a film; `least` to `most` are standard deviations in 8-bit levels, drawn such that weak noise is
    a little more frequent."""
    deviation = least + (most - least) * float(random.random()) ** 1.3
    kind = pick({"colour": 0.34, "grey": 0.16, "photons": 0.2, "grain": 0.18, "mosaic": 0.12}, random)
    height, width = picture.shape[:2]
    levels = picture.astype(np.float32)
    if kind == "photons":
        photons = 128 / deviation**2
        return pixels(random.poisson(levels * photons) / photons)
    if kind == "grain":
        return pixels(grain(levels, 0.65 * deviation, random))  # being larger, it covers as much with less
    channels = 1 if kind == "grey" else 3
    sensed = pixels(levels + np.float32(deviation) * random.standard_normal((height, width, channels), np.float32))
    return demosaiced(sensed) if kind == "mosaic" else sensed


def grain(levels: Levels, deviation: float, random: Random) -> Levels:
    """That of film: a little larger than pixels, the same in all channels or nearly so, strongest in middle tones."""
    height, width = levels.shape[:2]
    field = random.standard_normal((height, width, 3), np.float32)
    field = field[:, :, :1] + random.choice((0.0, 0.0, 0.3)) * field
    field = np.atleast_3d(cv2.GaussianBlur(field, (0, 0), random.uniform(0.3, 1.0)))
    field = field * (deviation / (field.std() + 1e-6))
    middle = levels.mean(2, keepdims=True) / 255
    return np.asarray(levels + field * (0.5 + 2 * middle * (1 - middle)), np.float32)


def dots(height: int, width: int, random: Random) -> Levels:
    """A press's screen, (height, width, 3), each colour turned by another angle; half of them grey."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    period, amplitude = random.uniform(2.2, 5), random.uniform(6, 35)
    turns = random.uniform(0, np.pi, 3) if random.random() < 0.5 else np.full(3, random.uniform(0, np.pi))
    screens = []
    for turn in turns:
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        screens.append(np.cos(2 * np.pi * along / period) + np.cos(2 * np.pi * across / period))
    return np.asarray(amplitude / 2 * np.stack(screens, 2), np.float32)


def saved(picture: PixelArray, random: Random, least: int, most: int) -> PixelArray:
    """As JPEG, one in seven as WebP."""
    if random.random() < 0.14:
        quality = round(random.uniform(least, most))
        return encoded(picture, ".webp", [cv2.IMWRITE_WEBP_QUALITY, quality])
    return jpeg(picture, random, least, most)


def jpeg(picture: PixelArray, random: Random, least: int, most: int) -> PixelArray:
    """With whole or halved colour. Its squares lie anywhere: the picture was cut since."""
    whole = random.random() < 0.35
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if whole else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    settings = [cv2.IMWRITE_JPEG_QUALITY, round(random.uniform(least, most)), cv2.IMWRITE_JPEG_SAMPLING_FACTOR]
    top, left = (int(offset) for offset in random.integers(0, 16, 2))
    wide = cv2.copyMakeBorder(picture, top, 0, left, 0, cv2.BORDER_REFLECT_101)
    return encoded(np.asarray(wide, np.uint8), ".jpg", [*settings, int(sampling)])[top:, left:]


KINDS: dict[Callable[[PixelArray, Random], Worn], float] = {
    untouched: 0.125,
    noisy: 0.275,
    compressed: 0.25,
    shared: 0.19,
    scanned: 0.08,
    dark: 0.08,
}
"""How often each happens."""
