"""Sources as people have them, each made of a truth by one rule with a fixed seed.

What is measured on them is left to quality.py. Nothing here is shared with training/, which makes its own sources.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upscaler.arrays import PixelArray

SCALE = 4

Random = np.random.Generator
Levels = NDArray[np.float32]
"""0..255, not rounded, (height, width, 3)."""


@dataclass(frozen=True, slots=True)
class Case:
    """A truth and what became of it: uint8 RGB, the source a quarter as high and wide."""

    photo: str
    kind: str
    truth: PixelArray
    source: PixelArray

    @classmethod
    def of(cls, photo: str, kind: str, truth: PixelArray) -> Case:
        """The same at each run: chance depends on the photograph's name and the kind alone."""
        if kind == "night":
            truth = darkened(truth)
        random = np.random.default_rng(zlib.crc32(f"{photo}, {kind}".encode()))
        return cls(photo, kind, truth, KINDS[kind](truth, random))


def darkened(truth: PixelArray) -> PixelArray:
    """As a street at night: half as bright, shadows more so."""
    return rounded(150 * (truth / 255) ** 1.4)


def clean(truth: PixelArray, random: Random) -> PixelArray:
    """Bicubic, as MATLAB and Pillow do it."""
    height, width = truth.shape[:2]
    return np.asarray(Image.fromarray(truth).resize((width // SCALE, height // SCALE), Image.Resampling.BICUBIC))


def mild(truth: PixelArray, random: Random) -> PixelArray:
    """A blur of 1.2 pixels, noise of 3 levels, JPEG of quality 70."""
    small = by_area(cv2.GaussianBlur(truth, (0, 0), 1.2))
    return jpeg(small + random.normal(0, 3, small.shape), 70)


def noise(deviation: float) -> Callable[[PixelArray, Random], PixelArray]:
    """Of each colour by itself."""

    def noisy(truth: PixelArray, random: Random) -> PixelArray:
        small = by_area(truth)
        return rounded(small + random.normal(0, deviation, small.shape))

    return noisy


def grey(truth: PixelArray, random: Random) -> PixelArray:
    """Noise of 15 levels, the same in each colour, JPEG of quality 75."""
    small = by_area(truth)
    return jpeg(small + random.normal(0, 15, (*small.shape[:2], 1)), 75)


def photons(truth: PixelArray, random: Random) -> PixelArray:
    """Few photons: 12 levels on a middle grey, JPEG of quality 85."""
    return jpeg(random.poisson(0.9 * by_area(truth)) / 0.9, 85)


def grain(truth: PixelArray, random: Random) -> PixelArray:
    """That of a film: 14 levels, larger than a pixel, nearly grey."""
    small = by_area(cv2.GaussianBlur(truth, (0, 0), 1.0))
    return jpeg(small + film(small, 14, 0.6, random), 90)


def saved(quality: int) -> Callable[[PixelArray, Random], PixelArray]:
    """As JPEG of that quality."""

    def compressed(truth: PixelArray, random: Random) -> PixelArray:
        return jpeg(by_area(truth), quality)

    return compressed


def webp(truth: PixelArray, random: Random) -> PixelArray:
    """Of quality 20, after a little noise."""
    small = by_area(truth)
    return encoded(small + random.normal(0, 3, small.shape), ".webp", [cv2.IMWRITE_WEBP_QUALITY, 20])


def shared(truth: PixelArray, random: Random) -> PixelArray:
    """Sent on: saved at 60, a third larger than it will be; made smaller and saved at 40."""
    height, width = truth.shape[0] // SCALE, truth.shape[1] // SCALE
    larger = np.asarray(Image.fromarray(truth).resize((width * 4 // 3, height * 4 // 3), Image.Resampling.BOX))
    first = jpeg(larger + random.normal(0, 4, larger.shape), 60)
    return jpeg(np.asarray(Image.fromarray(first).resize((width, height), Image.Resampling.BILINEAR)), 40)


def scan(truth: PixelArray, random: Random) -> PixelArray:
    """An old print: soft, with grain, JPEG of quality 80."""
    small = by_area(cv2.GaussianBlur(truth, (0, 0), 2.4))
    return jpeg(small + film(small, 9, 0.8, random), 80)


def printed(truth: PixelArray, random: Random) -> PixelArray:
    """From a magazine: the dots of a press, three pixels apart, JPEG of quality 85."""
    small = by_area(cv2.GaussianBlur(truth, (0, 0), 1.2))
    y, x = np.mgrid[: small.shape[0], : small.shape[1]].astype(np.float32)
    screens = []
    for degrees in (15, 75, 45):
        turn = np.deg2rad(degrees)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        screens.append(np.cos(2 * np.pi * along / 3) + np.cos(2 * np.pi * across / 3))
    return jpeg(small + 9 * np.stack(screens, 2), 85)


def night(truth: PixelArray, random: Random) -> PixelArray:
    """A telephone at night: few photons, blotches of colour, JPEG of quality 70. The truth is dark already."""
    small = by_area(truth)
    blotches = cv2.GaussianBlur(random.normal(0, 1, small.shape), (0, 0), 1.5)
    blotches *= 4 / blotches.std()
    return jpeg(small + random.normal(0, 1, small.shape) * 1.6 * np.sqrt(small + 6) + blotches, 70)


def mixed(truth: PixelArray, random: Random) -> PixelArray:
    """A blur of 1.5 pixels, noise of 10 levels, JPEG of quality 45."""
    small = by_area(cv2.GaussianBlur(truth, (0, 0), 1.5))
    return jpeg(small + random.normal(0, 10, small.shape), 45)


KINDS: dict[str, Callable[[PixelArray, Random], PixelArray]] = {
    "clean": clean,
    "mild": mild,
    "noise 5": noise(5),
    "noise 10": noise(10),
    "noise 20": noise(20),
    "noise 30": noise(30),
    "grey": grey,
    "photons": photons,
    "grain": grain,
    "jpeg 60": saved(60),
    "jpeg 25": saved(25),
    "jpeg 15": saved(15),
    "webp": webp,
    "shared": shared,
    "scan": scan,
    "printed": printed,
    "night": night,
    "mixed": mixed,
}
POOR = tuple(kind for kind in KINDS if kind not in ("clean", "mild"))


def film(small: Levels, deviation: float, width: float, random: Random) -> Levels:
    """The same in each colour but for a fifth, strongest in middle tones."""
    field = random.normal(0, 1, (*small.shape[:2], 1)) + 0.2 * random.normal(0, 1, small.shape)
    field = cv2.GaussianBlur(field, (0, 0), width)
    middle = small.mean(2, keepdims=True) / 255
    return np.asarray(deviation * field / field.std() * (0.5 + 2 * middle * (1 - middle)), np.float32)


def by_area(picture: cv2.typing.MatLike) -> Levels:
    """A quarter as large."""
    small = cv2.resize(picture, None, fx=1 / SCALE, fy=1 / SCALE, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def jpeg(values: NDArray[np.floating], quality: int) -> PixelArray:
    """Rounded to 8 bits and compressed, colour at half the resolution."""
    return encoded(values, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def encoded(values: NDArray[np.floating], suffix: str, settings: list[int]) -> PixelArray:
    """Through a file of this kind."""
    data = cv2.imencode(suffix, rounded(values)[:, :, ::-1], settings)[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1]


def rounded(values: NDArray[np.floating]) -> PixelArray:
    """To 8 bits."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
