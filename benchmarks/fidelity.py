"""Measures what `--fidelity` does: drift of colours, departure from the source, and distance from the truth.

Samples are shrunk to a quarter, once cleanly and once with noise and JPEG compression, enlarged by each model, and
locked to their sources with each fidelity. Prints a table and writes JSON. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from upscaler import Upscaler
from upscaler.arrays import FloatArray, PixelArray
from upscaler.surface import LrRmse, Upload, back_project
from upscaler.tiling import Band

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ("astronaut.jpg", "camera.jpg", "chelsea.png", "coffee.jpg", "lineart.png")
SIDE = 384
"""Pixels of the truth: the middle of each sample."""
COARSE = 8.0
"""Source pixels: the standard deviation of the Gaussian that leaves only drift."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["faithful", "realesrgan-x4plus"], help="that enlarge by 4")
    parser.add_argument("--fidelities", nargs="+", type=float, default=[0, 0.25, 0.5, 0.75, 1])
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "fidelity.json")
    arguments = parser.parse_args()
    report: dict[str, dict[str, float]] = {}
    print(f"{'model':28}{'source':8}{'fidelity':>9}{'drift':>8}{'lr_rmse':>11}{'PSNR':>8}")
    for model in arguments.models:
        network = Upscaler(model, fidelity=0)
        for degraded in (False, True):
            pairs = [pair(ROOT / "samples" / name, degraded) for name in SAMPLES]
            results = [(network(source).pixels.astype(np.float32) / 255, source, truth) for source, truth in pairs]
            for fidelity in arguments.fidelities:
                figures = np.mean([measure(*each, fidelity) for each in results], axis=0).round(2).tolist()
                source = "poor" if degraded else "clean"
                report[f"{model}, {source}, {fidelity}"] = dict(
                    zip(("drift", "departure", "psnr"), figures, strict=True)
                )
                drift, lr_rmse, psnr = figures
                print(f"{model:28}{source:8}{fidelity:9.2f}{drift:8.2f}{lr_rmse:11.2f}{psnr:8.2f}")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1))


def pair(file: Path, degraded: bool) -> tuple[PixelArray, PixelArray]:
    """The middle of a sample at a quarter of its size, and as it is: uint8, (height, width, 3)."""
    with Image.open(file) as image:
        whole = np.asarray(image.convert("RGB"))
    height, width = (min(side, SIDE) // 4 * 4 for side in whole.shape[:2])
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    truth = whole[top : top + height, left : left + width]
    source = np.asarray(Image.fromarray(truth).resize((width // 4, height // 4), Image.Resampling.BICUBIC))
    if degraded:
        noisy = source + np.random.default_rng(0).normal(0, 6, source.shape)
        encoded = cv2.imencode(".jpg", np.clip(noisy, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
        source = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return source, truth


def measure(result: FloatArray, source: PixelArray, truth: PixelArray, fidelity: float) -> tuple[float, float, float]:
    """Drift and departure in 8-bit levels (root mean squares), peak signal-to-noise ratio in dB."""
    lr_rmse = LrRmse()
    bands = back_project([Band(0, result)], Upload(source), 4, fidelity, lr_rmse)
    held = np.concatenate([band.pixels for band in bands])
    shrunk = cv2.resize(held, source.shape[1::-1], interpolation=cv2.INTER_AREA)
    drift = cv2.GaussianBlur(255 * shrunk - source, (0, 0), COARSE)
    error = float(np.mean((held - truth / np.float32(255)) ** 2))
    return float(np.sqrt(np.mean(drift**2))), lr_rmse.levels, -10 * float(np.log10(error))


if __name__ == "__main__":
    main()
