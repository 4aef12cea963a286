"""Wears pictures as people's are: noise, film grain, compression again and again, scans, night.

Each of `KINDS` returns two pictures: the worn one, and the same without what a cleaning network is to take out.
Softness and resizing are in both, since a cleaning network leaves the size and the sharpness of its source alone.
Pictures are uint8 RGB, (height, width, 3). Which truths are worn is left to `worn_data`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from upscaler.arrays import PixelArray

from .chance import Random, pick, to_pixels

Filter = Image.Resampling
FILTERS = {Filter.BICUBIC: 0.3, Filter.LANCZOS: 0.15, Filter.BOX: 0.4, Filter.BILINEAR: 0.1, Filter.HAMMING: 0.05}
"""How often each reduces what is poor: the box is what sensors and browsers do."""
GOOD_FILTERS = {
    Filter.BICUBIC: 0.8,
    Filter.LANCZOS: 0.1,
    Filter.BOX: 0.05,
    Filter.BILINEAR: 0.03,
    Filter.HAMMING: 0.02,
}
"""How often each reduces what stays good. Each wants another answer, and which it was can hardly be seen, so the one
of most programs has most of the shares."""

Levels = npt.NDArray[np.float32]
"""Pixels between two steps, 0..255, not rounded."""


class Worn(NamedTuple):
    """Both are uint8 RGB, (height, width, 3)."""

    source: PixelArray
    clean: PixelArray


def wear(picture: PixelArray, random: Random) -> Worn:
    """Wears the picture in one of `KINDS`; an eighth stay as they are, so that a network learns to leave them alone."""
    return pick(KINDS, random)(picture, random)


def keep(picture: PixelArray, random: Random) -> Worn:
    """Keeps the picture clean; half of them are saved once at a quality at which nothing is seen."""
    if random.random() < 0.5:
        return Worn(picture, picture)
    return Worn(save_jpeg(picture, random, 93, 99), picture)


def make_noisy(picture: PixelArray, random: Random) -> Worn:
    """Adds noise of 1 to 30 levels; two thirds are compressed after it."""
    source = add_noise(picture, random, 1, 30)
    return Worn(save_jpeg(source, random, 25, 95) if random.random() < 0.67 else source, picture)


def compress(picture: PixelArray, random: Random) -> Worn:
    """Adds a little noise at most, and saves at a quality of 10 to 95."""
    source = add_noise(picture, random, 0.5, 4) if random.random() < 0.4 else picture
    return Worn(save(source, random, 10, 95), picture)


def share(picture: PixelArray, random: Random) -> Worn:
    """Saves, makes smaller or larger as another program does, and saves again."""
    height, width = picture.shape[:2]
    source = add_noise(picture, random, 1, 16) if random.random() < 0.6 else picture
    source = save(source, random, 20, 90)
    factor = float(random.uniform(0.6, 1.6))
    between = (max(8, round(width * factor)), max(8, round(height * factor)))
    there, back = pick(FILTERS, random), pick(FILTERS, random)

    def resize(each: PixelArray) -> PixelArray:
        return np.asarray(Image.fromarray(each).resize(between, there).resize((width, height), back))

    return Worn(save(resize(source), random, 20, 95), resize(picture))


def scan(picture: PixelArray, random: Random) -> Worn:
    """Makes a print of it: soft, with grain, and in half of them the dots of a press."""
    soft = picture
    if random.random() < 0.7:
        soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), random.uniform(0.3, 1.0)), np.uint8)
    levels = add_grain(soft.astype(np.float32), random.uniform(2, 18), random)
    if random.random() < 0.5:
        levels += draw_dots(soft.shape[0], soft.shape[1], random)
    source = to_pixels(levels)
    return Worn(save(source, random, 40, 95) if random.random() < 0.7 else source, soft)


def shoot_at_night(picture: PixelArray, random: Random) -> Worn:
    """Leaves few photons, blotches of colour, and what a telephone saves of it. The tone of the picture stays: to
    darken it is left to `dim`, which a truth needs too."""
    height, width = picture.shape[:2]
    strength = random.uniform(0.5, 2.5)
    noise = random.standard_normal((height, width, 3), np.float32) * np.sqrt(picture + 8.0) * strength
    blotches = cv2.GaussianBlur(
        random.standard_normal((height, width, 3), np.float32), (0, 0), random.uniform(0.8, 2.5)
    )
    blotches *= random.uniform(0, 8) / (blotches.std() + 1e-6)
    source = to_pixels(picture + noise + blotches)
    if random.random() < 0.3:
        source = demosaic(source)
    return Worn(save(source, random, 40, 95) if random.random() < 0.8 else source, picture)


def dim(picture: PixelArray, random: Random) -> PixelArray:
    """Darkens as night does, shadows more than lamps."""
    levels = np.arange(256) / 255
    curve = 255 * random.uniform(0.35, 0.9) * levels ** random.uniform(1, 1.8)
    return to_pixels(curve)[picture]


def add_noise(picture: PixelArray, random: Random, least: float, most: float) -> PixelArray:
    """Adds noise of a sensor or a film; `least` to `most` are standard deviations in 8-bit levels, drawn such that weak
    noise is a little more frequent."""
    deviation = least + (most - least) * float(random.random()) ** 1.3
    kind = pick({"colour": 0.34, "grey": 0.16, "photons": 0.2, "grain": 0.18, "mosaic": 0.12}, random)
    height, width = picture.shape[:2]
    levels = picture.astype(np.float32)
    if kind == "photons":
        photons = 128 / deviation**2
        return to_pixels(random.poisson(levels * photons) / photons)
    if kind == "grain":
        return to_pixels(add_grain(levels, 0.65 * deviation, random))  # being larger, it covers as much with less
    channels = 1 if kind == "grey" else 3
    sensed = to_pixels(levels + np.float32(deviation) * random.standard_normal((height, width, channels), np.float32))
    return demosaic(sensed) if kind == "mosaic" else sensed


def add_grain(levels: Levels, deviation: float, random: Random) -> Levels:
    """Adds the grain of film: a little larger than pixels, the same in all channels or nearly so, strongest in middle
    tones."""
    height, width = levels.shape[:2]
    field = random.standard_normal((height, width, 3), np.float32)
    field = field[:, :, :1] + random.choice((0.0, 0.0, 0.3)) * field
    field = np.atleast_3d(cv2.GaussianBlur(field, (0, 0), random.uniform(0.3, 1.0)))
    field = field * (deviation / (field.std() + 1e-6))
    middle = levels.mean(2, keepdims=True) / 255
    return np.asarray(levels + field * (0.5 + 2 * middle * (1 - middle)), np.float32)


def draw_dots(height: int, width: int, random: Random) -> Levels:
    """Draws a press's screen, (height, width, 3), each colour turned by another angle; half of them grey."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    period, amplitude = random.uniform(2.2, 5), random.uniform(6, 35)
    turns = random.uniform(0, np.pi, 3) if random.random() < 0.5 else np.full(3, random.uniform(0, np.pi))
    screens = []
    for turn in turns:
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        screens.append(np.cos(2 * np.pi * along / period) + np.cos(2 * np.pi * across / period))
    return np.asarray(amplitude / 2 * np.stack(screens, 2), np.float32)


def save(picture: PixelArray, random: Random, least: int, most: int) -> PixelArray:
    """Saves as JPEG, one in seven as WebP, at a quality of `least` to `most`."""
    if random.random() < 0.14:
        quality = round(random.uniform(least, most))
        return encode(picture, ".webp", [cv2.IMWRITE_WEBP_QUALITY, quality])
    return save_jpeg(picture, random, least, most)


def save_jpeg(picture: PixelArray, random: Random, least: int, most: int) -> PixelArray:
    """Saves as JPEG with whole or halved colour. Its squares lie anywhere: the picture was cut since."""
    whole = random.random() < 0.35
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if whole else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    settings = [cv2.IMWRITE_JPEG_QUALITY, round(random.uniform(least, most)), cv2.IMWRITE_JPEG_SAMPLING_FACTOR]
    top, left = (int(offset) for offset in random.integers(0, 16, 2))
    wide = cv2.copyMakeBorder(picture, top, 0, left, 0, cv2.BORDER_REFLECT_101)
    return encode(np.asarray(wide, np.uint8), ".jpg", [*settings, int(sampling)])[top:, left:]


def demosaic(picture: PixelArray) -> PixelArray:
    """Returns what a camera makes of it that sees one colour at each pixel: red, green; green, blue."""
    mosaic = picture[:, :, 1].copy()
    mosaic[::2, ::2] = picture[::2, ::2, 0]
    mosaic[1::2, 1::2] = picture[1::2, 1::2, 2]
    return cv2.cvtColor(mosaic, cv2.COLOR_BayerRGGB2RGB_EA).astype(np.uint8)


def encode(picture: PixelArray, suffix: str, settings: Sequence[int]) -> PixelArray:
    """Returns the picture after it went through a file of this kind, with OpenCV's settings."""
    data = cv2.imencode(suffix, picture[:, :, ::-1], list(settings))[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1]


KINDS: dict[Callable[[PixelArray, Random], Worn], float] = {
    keep: 0.125,
    make_noisy: 0.275,
    compress: 0.25,
    share: 0.19,
    scan: 0.08,
    shoot_at_night: 0.08,
}
"""How often each happens."""
