"""What happens to pictures before someone wants them larger: blur, reduction, noise, compression, sharpening.

Pictures are uint8 RGB, (height, width, 3), before and after every step, as they are between the programs and cameras
that do this to them. Which pictures are degraded is left to `data`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from upscaler.arrays import PixelArray

SCALE = 4
RADIUS = 10
"""Pixels from the middle of a blur's kernel to its edge: three deviations of the widest."""

Random = np.random.Generator
Choice = TypeVar("Choice")
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
ALIASED = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)
"""Filters that do not widen as pictures shrink: what careless programs do."""


def pick(table: dict[Choice, float], random: Random) -> Choice:
    """A key, as often as its value says; the values sum to one."""
    return list(table)[int(random.choice(len(table), p=list(table.values())))]


def clean(truth: PixelArray, random: Random) -> PixelArray:
    """Reduced, and nothing else: a good picture that is only small."""
    if random.random() < 0.04:
        small = (truth.shape[1] // SCALE, truth.shape[0] // SCALE)
        return pixels(cv2.resize(truth, small, interpolation=int(random.choice(ALIASED))))
    return reduced(truth, random, GOOD_FILTERS)


def usual(truth: PixelArray, random: Random, sharpening: float = 0.0) -> PixelArray:
    """A little soft and noisy, reduced by area, saved once as JPEG: spread around what `data.measured` and
    benchmarks/quality.py call poor. Figures of poor sources are therefore of something that was practised. `sharpening`
    is the share that is sharpened too much."""
    soft = cv2.GaussianBlur(truth, (0, 0), _about(0.5, 0.8, 1.6, random)).astype(np.uint8)
    small = reduced(soft, random, {Filter.BOX: 1.0})
    if random.random() < sharpening:
        small = sharpened(small, random)
    noise = random.standard_normal(small.shape, np.float32) * np.float32(_about(0.5, 1, 5, random))
    return encoded(pixels(small + noise), ".jpg", [cv2.IMWRITE_JPEG_QUALITY, round(_about(0.5, 55, 85, random))])


def mild(truth: PixelArray, random: Random, sharpening: float = 0.1) -> PixelArray:
    """As pictures from cameras and web pages can be: soft in many ways, noisy, compressed once or twice. `sharpening`
    is the share that is sharpened too much."""
    picture = blurred(truth, random, 0.4, 2.4) if random.random() < 0.75 else truth
    picture = reduced(picture, random)
    if random.random() < sharpening:
        picture = sharpened(picture, random)
    if random.random() < 0.75:
        picture = noisy(picture, random, 0.5, 8)
    if random.random() < 0.8:
        picture = compressed(picture, random, 45, 96)
    return compressed(picture, random, 60, 96) if random.random() < 0.1 else picture


def severe(truth: PixelArray, random: Random) -> PixelArray:
    """The second-order chain of Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833), shortened: everything twice."""
    height, width = truth.shape[0] // SCALE, truth.shape[1] // SCALE
    picture = blurred(truth, random, 0.4, 3)
    picture = resized(picture, *_times(truth, random.uniform(0.35, 1)), random)
    picture = noisy(picture, random, 1, 16)
    picture = compressed(picture, random, 40, 95)
    if random.random() < 0.6:
        picture = blurred(picture, random, 0.3, 1.5)
    picture = resized(picture, *_times(truth, random.uniform(0.25, 0.5)), random)
    picture = noisy(picture, random, 0.5, 10)
    if random.random() < 0.2:
        picture = sharpened(picture, random)
    if random.random() < 0.5:
        return compressed(resized(picture, width, height, random), random, 40, 95)
    return resized(compressed(picture, random, 40, 95), width, height, random)


def _times(truth: PixelArray, factor: float) -> tuple[int, int]:
    return round(truth.shape[1] * factor), round(truth.shape[0] * factor)


def reduced(picture: PixelArray, random: Random, filters: dict[Filter, float] = FILTERS) -> PixelArray:
    """A quarter as wide and high. In one picture of eight the grid is up to a quarter of a pixel off."""
    height, width = picture.shape[:2]
    shift = random.uniform(-0.25, 0.25, 2) if random.random() < 0.125 else np.zeros(2)
    left, top = np.maximum(shift, 0)
    right, bottom = np.minimum(shift, 0)
    box = (left, top, width + right, height + bottom)
    small = Image.fromarray(picture).resize((width // SCALE, height // SCALE), pick(filters, random), box)
    return np.asarray(small)


def resized(picture: PixelArray, width: int, height: int, random: Random) -> PixelArray:
    """Of that size, by any filter."""
    return np.asarray(Image.fromarray(picture).resize((width, height), pick(FILTERS, random)))


def blurred(picture: PixelArray, random: Random, least: float, most: float) -> PixelArray:
    """By a lens, a hand or a program: `least` to `most` are standard deviations in pixels."""
    deviation = _about(0.35, least, most, random)
    kind = pick({"even": 0.55, "slanted": 0.2, "lens": 0.08, "motion": 0.07, "ringing": 0.1}, random)
    if kind == "even":
        return cv2.GaussianBlur(picture, (0, 0), deviation).astype(np.uint8)
    y, x = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1].astype(np.float32)
    angle = random.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if kind == "slanted":
        other = _about(0.35, least, most, random)
        kernel = np.exp(-((along / deviation) ** 2 + (across / other) ** 2) / 2)
    elif kind == "lens":  # a disc of radius r deviates by r / 2 along each axis
        kernel = np.clip(2 * deviation + 0.5 - np.hypot(x, y), 0, 1)
    elif kind == "motion":  # a line of length l deviates by l / sqrt(12)
        beyond = np.maximum(np.abs(along) - deviation * np.sqrt(3), 0)
        kernel = np.clip(1 - np.hypot(beyond, across), 0, 1)
    else:
        share = random.uniform(0.35, 0.9)  # of the frequencies pass, the others are cut off: rings beside edges
        kernel = np.sinc(share * x) * np.sinc(share * y)
    return cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101).astype(np.uint8)


def noisy(picture: PixelArray, random: Random, least: float, most: float) -> PixelArray:
    """With the noise of a sensor; `least` to `most` are standard deviations in 8-bit levels, drawn by logarithm, since
    little noise is the rule."""
    deviation = float(np.exp(_about(0.65, np.log(least), np.log(most), random)))
    kind = pick({"colour": 0.4, "grey": 0.2, "photons": 0.25, "mosaic": 0.15}, random)
    height, width = picture.shape[:2]
    if kind == "photons":  # as many as give that deviation at half of full brightness
        photons = 128 / deviation**2
        return pixels(random.poisson(picture * photons).astype(np.float32) / np.float32(photons))
    channels = 1 if kind == "grey" else 3
    sensed = picture + np.float32(deviation) * random.standard_normal((height, width, channels), np.float32)
    return demosaiced(pixels(sensed)) if kind == "mosaic" else pixels(sensed)


def demosaiced(picture: PixelArray) -> PixelArray:
    """What a camera makes of it that sees one colour at each pixel: red, green; green, blue."""
    mosaic = picture[:, :, 1].copy()
    mosaic[::2, ::2] = picture[::2, ::2, 0]
    mosaic[1::2, 1::2] = picture[1::2, 1::2, 2]
    return cv2.cvtColor(mosaic, cv2.COLOR_BayerRGGB2RGB_EA).astype(np.uint8)


def sharpened(picture: PixelArray, random: Random) -> PixelArray:
    """Too much, by an unsharp mask: halos beside edges."""
    soft = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.6, 1.6))
    amount = random.uniform(0.3, 1.2)
    return cv2.addWeighted(picture, 1 + amount, soft, -amount, 0).astype(np.uint8)


def compressed(picture: PixelArray, random: Random, least: int, most: int) -> PixelArray:
    """Through JPEG, now and then through WebP; with whole or halved colour."""
    quality = round(_about(0.6, least, most, random))
    if random.random() < 0.12:
        return encoded(picture, ".webp", [cv2.IMWRITE_WEBP_QUALITY, quality])
    whole = random.random() < 0.3
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if whole else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    return encoded(
        picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, int(sampling)]
    )


def encoded(picture: PixelArray, suffix: str, settings: Sequence[int]) -> PixelArray:
    """Through a file of this kind."""
    data = cv2.imencode(suffix, picture[:, :, ::-1], list(settings))[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1]


def _about(share: float, least: float, most: float, random: Random) -> float:
    """A number most often that share of the way from least to most, and the rarer the farther from there: as cameras
    and programs are set, most pictures are alike."""
    return float(random.triangular(least, least + share * (most - least), most))


def pixels(values: npt.NDArray[Any]) -> PixelArray:
    """Rounded to 8 bits."""
    levels: PixelArray = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return levels
