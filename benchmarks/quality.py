"""Measures how well networks restore photographs: distance from the truth, naturalness, departure from the source.

The middle of each photograph is shrunk to a quarter, cleanly and after what happens to pictures in the world, and
enlarged by each model, which is not held to its source: what `--fidelity` changes is left to fidelity.py. Prints a
table and writes JSON, and with `--strip` a picture of crops side by side. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

import cv2
import numpy as np
from cv2.typing import MatLike
from niqe import BLOCK, Plane, Pristine, niqe, pristine_file
from numpy.typing import NDArray
from PIL import Image

from upscaler import Upscaler, catalog
from upscaler.arrays import PixelArray

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ("astronaut.jpg", "camera.jpg", "chelsea.png", "coffee.jpg")
HELD_OUT = 6
"""One photograph in so many, by a hash of its name, is not trained on."""
SCALE = 4
BORDER = 4
"""Pixels at each edge of a result that are not measured, as is usual for this scale."""
PIECE = 160
"""Pixels of a side of the pieces in the strip."""
CAPTION = 16
LETTERS = 26
"""Of a caption: more are wider than a piece."""

Random = np.random.Generator


def main() -> None:
    embedded = [model.name for model in catalog.models() if model.file and model.file.is_relative_to(ROOT)]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["lanczos", *embedded], help="names or files of weights")
    parser.add_argument("--photos", type=Path, help="a folder of .jpg and .png (default: photographs of the samples)")
    parser.add_argument("--held-out", action="store_true", help="only those that training/ does not learn from")
    parser.add_argument("--reduce", type=int, default=1, help="times photographs are made smaller first")
    parser.add_argument("--side", type=int, default=512, help="pixels of a truth at most, the middle of a photograph")
    parser.add_argument("--sources", nargs="+", choices=DEGRADATIONS, default=list(DEGRADATIONS))
    parser.add_argument("--pristine", type=Path, default=pristine_file(), help="niqe_pris_params.npz of BasicSR")
    parser.add_argument("--strip", type=Path, help="a PNG to write: a row for each photograph and source")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "quality.json")
    arguments = parser.parse_args()
    files = photographs(arguments.photos, arguments.held_out)
    pristine = Pristine.read(arguments.pristine) if arguments.pristine else None
    if pristine is None:
        print("NIQE is not measured: it needs a file of BasicSR's, which is not installed. See README.md.\n")
    truths = {file.name: middle(file, arguments.reduce, arguments.side) for file in files}
    cases = [Case.of(name, kind, truth) for name, truth in truths.items() for kind in arguments.sources]
    results = {"bicubic": [enlarged(case.source) for case in cases]}
    for model in arguments.models:
        network = Upscaler(model, fidelity=0)
        results[model] = [np.asarray(network(case.source, SCALE).pixels, np.uint8) for case in cases]
    report = {
        model: [measure(each, case, pristine) for each, case in zip(pictures, cases, strict=True)]
        for model, pictures in results.items()
    }
    show(report, cases)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{case.photo}, {case.kind}" for case in cases]
    rows = {model: dict(zip(names, map(asdict, own), strict=True)) for model, own in report.items()}
    arguments.json.write_text(json.dumps(rows, indent=1))
    if arguments.strip:
        strip(results, cases).save(arguments.strip)


# What is measured on ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A truth and what became of it: uint8 RGB, the source a quarter as high and wide."""

    photo: str
    kind: str
    """Of the degradation."""
    truth: PixelArray
    source: PixelArray

    @classmethod
    def of(cls, photo: str, kind: str, truth: PixelArray) -> Case:
        """The same at each run: chance depends on the photograph's name alone."""
        return cls(photo, kind, truth, DEGRADATIONS[kind](truth, np.random.default_rng(seed(photo))))


def photographs(folder: Path | None, held_out: bool) -> list[Path]:
    if folder is None:
        return [ROOT / "samples" / name for name in SAMPLES]
    files = sorted(file for file in folder.iterdir() if file.suffix in (".jpg", ".png"))
    files = [file for file in files if not held_out or seed(file.name) % HELD_OUT == 0]
    if not files:
        raise SystemExit(f"{folder}: has no .jpg or .png to measure on. Give another folder.")
    return files


def seed(name: str) -> int:
    return zlib.crc32(name.encode())


def middle(file: Path, times: int, side: int) -> PixelArray:
    """Of a photograph `times` smaller than the file's, `side` pixels wide and high at most: uint8 RGB."""
    with Image.open(file) as image:
        whole = np.asarray(image.convert("RGB").reduce(times))
    height, width = (min(length, side) // SCALE * SCALE for length in whole.shape[:2])
    least = BLOCK + 2 * BORDER
    if min(width, height) < least or max(width, height) < least + BLOCK:
        raise SystemExit(f"{file.name}: {width}x{height} pixels, NIQE needs {least + BLOCK}x{least}. Leave it out.")
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    return whole[top : top + height, left : left + width]


def clean(truth: PixelArray, random: Random) -> PixelArray:
    """Bicubic, as MATLAB and Pillow do it."""
    height, width = truth.shape[:2]
    return np.asarray(Image.fromarray(truth).resize((width // SCALE, height // SCALE), Image.Resampling.BICUBIC))


def web(truth: PixelArray, random: Random) -> PixelArray:
    """Sharpened too much, and compressed hard."""
    small = by_area(truth)
    return jpeg(small + 0.8 * (small - cv2.GaussianBlur(small, (0, 0), 1)), 50)


def poor(truth: PixelArray, random: Random) -> PixelArray:
    """A blur of 1.2 pixels, noise of 3 levels, JPEG of quality 70."""
    small = by_area(cv2.GaussianBlur(truth, (0, 0), 1.2))
    return jpeg(small + random.normal(0, 3, small.shape), 70)


def camera(truth: PixelArray, random: Random) -> PixelArray:
    """Moved, with the noise of few photons: 5.7 levels on a middle grey."""
    small = by_area(cv2.GaussianBlur(truth, (0, 0), sigmaX=3, sigmaY=0.8))
    return jpeg(random.poisson(4 * small) / 4, 90)


DEGRADATIONS: dict[str, Callable[[PixelArray, Random], PixelArray]] = {
    "clean": clean,
    "web": web,
    "poor": poor,
    "camera": camera,
}


def by_area(picture: MatLike) -> NDArray[np.float32]:
    """A quarter as large, 0..255, rounded."""
    small = cv2.resize(picture, None, fx=1 / SCALE, fy=1 / SCALE, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def jpeg(values: NDArray[np.floating], quality: int) -> PixelArray:
    """Rounded to 8 bits and compressed, colour at half the resolution."""
    levels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", levels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1]


def enlarged(source: PixelArray) -> PixelArray:
    """Bicubic, the baseline."""
    height, width = source.shape[:2]
    return np.asarray(Image.fromarray(source).resize((width * SCALE, height * SCALE), Image.Resampling.BICUBIC))


# What is measured ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one result. All but `lr_rmse` are of Y within the border."""

    psnr: float
    ssim: float
    niqe: float
    """Lower is more natural; NaN if it is not known."""
    lr_rmse: float
    """Root mean square of the difference to the source when shrunk back by area, in 8-bit levels."""


def measure(result: PixelArray, case: Case, pristine: Pristine | None) -> Figures:
    luma, wanted = (luminance(each)[BORDER:-BORDER, BORDER:-BORDER] for each in (result, case.truth))
    shrunk = cv2.resize(np.asarray(result, np.float32), case.source.shape[1::-1], interpolation=cv2.INTER_AREA)
    return Figures(
        psnr=20 * math.log10(255 / math.sqrt(np.mean((luma - wanted) ** 2))),
        ssim=ssim(luma, wanted),
        niqe=niqe(luma, pristine) if pristine else math.nan,
        lr_rmse=math.sqrt(np.mean((shrunk - case.source) ** 2)),
    )


def luminance(picture: PixelArray) -> Plane:
    """Y of ITU-R BT.601, 16..235, not rounded."""
    return np.asarray(16 + picture @ np.array([65.481, 128.553, 24.966]) / 255)


def ssim(one: Plane, other: Plane) -> float:
    """Wang, Bovik, Sheikh, Simoncelli 2004: Gaussian windows of 11 pixels that lie within the picture."""
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def mean(plane: Plane) -> Plane:
        return np.asarray(cv2.GaussianBlur(plane, (11, 11), 1.5)[5:-5, 5:-5])

    means = mean(one) * mean(other)
    squares = mean(one) ** 2 + mean(other) ** 2
    alike = (2 * means + first) * (2 * (mean(one * other) - means) + second)
    return float(np.mean(alike / ((squares + first) * (mean(one**2 + other**2) - squares + second))))


# What is shown ------------------------------------------------------------------------------------------------------


def show(report: dict[str, list[Figures]], cases: list[Case]) -> None:
    """A table of means over the photographs; of what is gained over bicubic also the median, of NIQE only the median,
    since pictures that are nearly flat, which it was not made for, put its mean anywhere."""
    print(f"| {'source':6} | {'model':24} | PSNR | mean gain | median gain | SSIM | NIQE | departure |")
    print("|---" * 8 + "|")
    for kind in dict.fromkeys(case.kind for case in cases):
        chosen = [index for index, case in enumerate(cases) if case.kind == kind]
        baseline = [report["bicubic"][index].psnr for index in chosen]
        for model, figures in report.items():
            own = [figures[index] for index in chosen]
            gains = [figure.psnr - base for figure, base in zip(own, baseline, strict=True)]
            natural = [figure.niqe for figure in own if not math.isnan(figure.niqe)] or [math.nan]
            print(
                f"| {kind:6} | {model:24} | {fmean(figure.psnr for figure in own):.2f} "
                f"| {fmean(gains):+.2f} | {median(gains):+.2f} | {fmean(figure.ssim for figure in own):.3f} "
                f"| {median(natural):.2f} | {fmean(figure.lr_rmse for figure in own):.2f} |"
            )


def strip(results: dict[str, list[PixelArray]], cases: list[Case]) -> Image.Image:
    """A row for each case: where its truth has most detail, by each model and in truth."""
    rows = []
    for index, case in enumerate(cases):
        top, left = busiest(case.truth)
        shown = {model: pictures[index] for model, pictures in results.items()}
        shown[f"{Path(case.photo).stem}, {case.kind}"] = case.truth
        rows.append([captioned(each[top : top + PIECE, left : left + PIECE], name) for name, each in shown.items()])
    return Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows]))


def busiest(truth: PixelArray) -> tuple[int, int]:
    """Top and left of the piece of most detail."""
    detail = cv2.boxFilter(np.abs(cv2.Laplacian(luminance(truth), cv2.CV_64F)), -1, (PIECE, PIECE), anchor=(0, 0))
    height, width = (max(length - PIECE, 0) + 1 for length in truth.shape[:2])
    top, left = np.unravel_index(np.argmax(detail[:height, :width]), (height, width))
    return int(top), int(left)


def captioned(piece: PixelArray, caption: str) -> PixelArray:
    """Beside others: within a white frame, the caption above."""
    framed = np.full((PIECE + CAPTION, PIECE + 4, 3), 255, np.uint8)
    framed[CAPTION : CAPTION + len(piece), : piece.shape[1]] = piece
    name = Path(caption).name[-LETTERS:]
    return np.asarray(cv2.putText(framed, name, (0, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (0, 0, 0)), np.uint8)


if __name__ == "__main__":
    main()
