"""Compares ways to hold a result's colours to its source: none, AdaIN, wavelet, and the project's own, `--fidelity`.

Samples are shrunk to a quarter; their originals, sharpened, with noise and a tint, stand for what a diffusion model has
made of them. Prints a table: what remains of the tint in blocks of 64 and of 16 pixels, in 8-bit levels. See README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from upscaler.arrays import FloatArray
from upscaler.surface import LrRmse, Upload, back_project
from upscaler.tiling import Band

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ("astronaut.jpg", "chelsea.png", "coffee.jpg")
SCALE = 4
BLOCKS = (64, 16)
LEVELS = 5
"""Of the wavelet: as in DiffBIR (github.com/XPixelGroup/DiffBIR)."""

Correct = Callable[[FloatArray, FloatArray], FloatArray]
"""Given a result and its source, both 0..1."""


def main() -> None:
    corrections: dict[str, Correct] = {
        "none": lambda result, _: result,
        "AdaIN": adain,
        "wavelet": wavelet,
        "--fidelity 0.5": lambda result, source: held(result, source, 0.5),
        "--fidelity 1": lambda result, source: held(result, source, 1.0),
    }
    print(f"{'':16}{'even tint':>16}{'drifting tint':>18}\n{'blocks of':16}" + f"{BLOCKS[0]:>9}{BLOCKS[1]:>7}" * 2)
    for name, correct in corrections.items():
        errors = [remains(correct, drifts) for drifts in (False, True)]
        print(f"{name:16}" + "".join(f"{error:8.2f}" for pair in errors for error in pair))


def remains(correct: Correct, drifts: bool) -> tuple[float, ...]:
    """Root mean squares of the blocks' errors, means over the samples, in levels."""
    random = np.random.default_rng(0)
    errors = []
    for name in SAMPLES:
        truth = sample(name)
        height, width = truth.shape[:2]
        source = cv2.resize(truth, (width // SCALE, height // SCALE), interpolation=cv2.INTER_AREA)
        sharper = truth + 0.5 * (truth - cv2.GaussianBlur(truth, (0, 0), 3))
        noise = 0.03 * random.standard_normal(truth.shape)
        result = (sharper + noise + tint(height, width, drifts)).clip(0, 1).astype(np.float32)
        difference = correct(result, np.asarray(source, np.float32)) - truth
        errors.append([255 * float(np.sqrt((means(difference, side) ** 2).mean())) for side in BLOCKS])
    return tuple(np.mean(errors, axis=0))


def sample(name: str) -> FloatArray:
    pixels = cv2.cvtColor(cv2.imread(str(ROOT / "samples" / name)), cv2.COLOR_BGR2RGB)
    height, width = (side // BLOCKS[0] * BLOCKS[0] for side in pixels.shape[:2])
    return np.asarray(pixels[:height, :width], np.float32) / np.float32(255)


def tint(height: int, width: int, drifts: bool) -> FloatArray:
    if not drifts:
        return np.array([0.05, -0.02, -0.04], np.float32)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    return np.asarray(0.06 * np.stack([np.sin(5 * x), np.cos(4 * y) - 0.5, -np.sin(3 * (x + y))], 2), np.float32)


def means(values: FloatArray, side: int) -> FloatArray:
    height, width, channels = values.shape
    return values.reshape(height // side, side, width // side, side, channels).mean((1, 3))


def wavelet(result: FloatArray, source: FloatArray) -> FloatArray:
    return result - low(result) + low(enlarged(source, result))


def adain(result: FloatArray, source: FloatArray) -> FloatArray:
    wanted = enlarged(source, result)
    mean, deviation = result.mean((0, 1)), result.std((0, 1))
    return (result - mean) / deviation * wanted.std((0, 1)) + wanted.mean((0, 1))


def held(result: FloatArray, source: FloatArray, fidelity: float) -> FloatArray:
    pixels = np.round(source * 255).astype(np.uint8)

    def bands() -> Iterator[Band]:
        for y in range(0, len(result), 128):
            yield Band(y, result[y : y + 128])

    return np.concatenate([band.pixels for band in back_project(bands(), Upload(pixels), SCALE, fidelity, LrRmse())])


def enlarged(source: FloatArray, result: FloatArray) -> FloatArray:
    height, width = result.shape[:2]
    return np.asarray(cv2.resize(source, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def low(pixels: FloatArray) -> FloatArray:
    for level in range(LEVELS):
        kernel = np.zeros(2 ** (level + 1) + 1, np.float32)
        kernel[[0, len(kernel) // 2, -1]] = (0.25, 0.5, 0.25)
        pixels = np.asarray(cv2.sepFilter2D(pixels, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE), np.float32)
    return pixels


if __name__ == "__main__":
    main()
