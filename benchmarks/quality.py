"""Measures how networks restore photographs as people have them, clean and poor, and writes sheets for the eye.

Photographs are shrunk to a quarter in many ways, see worn.py, and enlarged by each model or chain of models. Prints
tables and writes JSON. What `--fidelity` changes is left to fidelity.py. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
import sheets
import torch
from figures import Detail, Figures, measure
from perceptual import Perceptual
from PIL import Image
from spandrel import ImageModelDescriptor, ModelLoader
from torch.nn import functional
from worn import KINDS, POOR, SCALE, Case

from upscaler import catalog
from upscaler.arrays import PixelArray
from upscaler.device import pick_precision

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ("astronaut.jpg", "camera.jpg", "chelsea.png", "coffee.jpg")
HELD_OUT = 6
"""One photograph in so many, by a hash of its name, is not trained on."""
BASE, PEER = "bicubic", "realesrgan-x4plus"
"""The share of the way is from the first's perceptual distance to the second's."""
THREADS = ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,))
"""A case each: threads that share a convolution wait for each other, ten times as long as they compute where other
programs compute."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models",
        nargs="+",
        default=["photo", "photo-fast", "faithful", PEER],
        help="names or files of weights; ONE+OTHER is a chain, NAME=ONE+OTHER gives it a name",
    )
    parser.add_argument("--photos", type=Path, help="a folder of .jpg and .png besides the photographs of the samples")
    parser.add_argument("--no-samples", action="store_true", help="leave out the photographs of the samples")
    parser.add_argument("--reduce", type=int, default=3, help="times photographs of the folder are made smaller first")
    parser.add_argument("--side", type=int, default=256, help="pixels of a truth at most, the middle of a photograph")
    parser.add_argument("--sources", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--sheets", type=Path, help="a folder for sheets: a page for each kind of source")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "benchmarks" / "results")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "quality.json")
    arguments = parser.parse_args()
    truths = photographs(arguments.photos, arguments.reduce, arguments.side, () if arguments.no_samples else SAMPLES)
    cases = [Case.of(name, kind, truth) for name, truth in truths.items() for kind in arguments.sources]
    results = {BASE: [enlarged(case.source) for case in cases]}
    for given in arguments.models:
        name, _, parts = given.rpartition("=")
        results[name or given] = Chain.made(parts, arguments.cache).run(cases)
    perceptual = Perceptual()
    report = {
        model: list(THREADS.map(partial(measure, perceptual=perceptual), pictures, cases))
        for model, pictures in results.items()
    }
    show(report, cases)
    summarise(report, cases)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{case.photo}, {case.kind}" for case in cases]
    rows = {model: dict(zip(names, map(asdict, own), strict=True)) for model, own in report.items()}
    arguments.json.write_text(json.dumps(rows, indent=1))
    if arguments.sheets:
        sheets.write(arguments.sheets, results, cases)


def photographs(folder: Path | None, times: int, side: int, names: Sequence[str] = SAMPLES) -> dict[str, PixelArray]:
    """Truths by the names of their files: those of the samples, and of the folder those that are not trained on."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (".jpg", ".png")) if folder else []
    held_out = [file for file in files if zlib.crc32(file.name.encode()) % HELD_OUT == 0]
    if folder and not held_out:
        raise SystemExit(f"{folder}: has no .jpg or .png that training holds out. Give another folder.")
    samples = {name: middle(ROOT / "samples" / name, 1, side) for name in names}
    return samples | {file.name: middle(file, times, side) for file in held_out}


def middle(file: Path, times: int, side: int) -> PixelArray:
    """Of a photograph `times` smaller than the file's, `side` pixels wide and high at most: uint8 RGB."""
    with Image.open(file) as image:
        whole = np.asarray(image.convert("RGB").reduce(times))
    height, width = (min(length, side) // (2 * SCALE) * 2 * SCALE for length in whole.shape[:2])
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    return whole[top : top + height, left : left + width]


def enlarged(source: PixelArray) -> PixelArray:
    """Bicubic, the baseline."""
    height, width = source.shape[:2]
    return np.asarray(Image.fromarray(source).resize((width * SCALE, height * SCALE), Image.Resampling.BICUBIC))


class Chain:
    """Networks one after the other, each given the whole picture, in bfloat16 where the processor has it; results are
    kept in a folder."""

    def __init__(self, networks: list[ImageModelDescriptor], folder: Path) -> None:
        self._networks = networks
        self._folder = folder

    @classmethod
    def made(cls, parts: str, cache: Path) -> Chain:
        """Of names or files of weights, joined by plus signs."""
        files = [
            Path(part) if Path(part).exists() else catalog.fetch_model(catalog.find(part)) for part in parts.split("+")
        ]
        digest = hashlib.sha256(b"".join(hashlib.sha256(Path(file).read_bytes()).digest() for file in files))
        loaded = [ModelLoader("cpu").load_from_file(file).eval() for file in files]
        for each in loaded:
            assert isinstance(each, ImageModelDescriptor)
            each.model.to(memory_format=torch.channels_last)
        return cls(loaded, cache / digest.hexdigest()[:16])

    def run(self, cases: list[Case]) -> list[PixelArray]:
        """Results, uint8 RGB."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return list(THREADS.map(self._kept, cases))

    def _kept(self, case: Case) -> PixelArray:
        file = self._folder / f"{hashlib.sha256(case.source.tobytes()).hexdigest()[:24]}.png"
        if not file.exists():
            Image.fromarray(self._result(case.source)).save(file.with_suffix(".new"), format="PNG")
            file.with_suffix(".new").replace(file)
        return np.asarray(Image.open(file))

    @torch.inference_mode()
    def _result(self, source: PixelArray) -> PixelArray:
        value = torch.from_numpy(np.ascontiguousarray(source.transpose(2, 0, 1)))[None].float() / 255
        is_quick = pick_precision("auto", torch.device("cpu"), half=False, bfloat16=True) == torch.bfloat16
        for network in self._networks:
            height, width = value.shape[-2:]
            multiple = network.size_requirements.multiple_of
            value = functional.pad(value, (0, -width % multiple, 0, -height % multiple), mode="replicate")
            with torch.autocast("cpu", torch.bfloat16, enabled=is_quick):
                value = network(value.contiguous(memory_format=torch.channels_last)).float().clamp(0, 1)
            value = value[..., : height * network.scale, : width * network.scale]
        if value.shape[-1] == source.shape[1]:
            raise SystemExit("a chain must end with a network that enlarges by 4.")
        return np.asarray((255 * value[0]).round().byte().permute(1, 2, 0).contiguous())


# What is shown ------------------------------------------------------------------------------------------------------


def show(report: dict[str, list[Figures]], cases: list[Case]) -> None:
    """A table of means over the photographs."""
    print(f"| {'source':8} | {'model':24} | perceptual | worms | in flat parts | PSNR | gain | SSIM | departure |")
    print("|---" * 9 + "|")
    for kind in dict.fromkeys(case.kind for case in cases):
        chosen = [index for index, case in enumerate(cases) if case.kind == kind]
        baseline = fmean(report[BASE][index].psnr for index in chosen)
        for model, figures in report.items():
            own = [figures[index] for index in chosen]
            psnr, ssim, looks, departure = (
                fmean(getattr(figure, name) for figure in own) for name in ("psnr", "ssim", "perceptual", "departure")
            )
            calm, flat = worms(figure.calm for figure in own), worms(figure.flat for figure in own)
            print(
                f"| {kind:8} | {model:24} | {looks:.3f} | {calm:.2f} | {flat:.2f} "
                f"| {psnr:.2f} | {psnr - baseline:+.2f} | {ssim:.3f} | {departure:.1f} |"
            )


def worms(details: Iterable[Detail]) -> float:
    """Fine detail of results over that of their truths."""
    found = list(details)
    return sum(each.result for each in found) / max(sum(each.truth for each in found), 1e-9)


def summarise(report: dict[str, list[Figures]], cases: list[Case]) -> None:
    """What decides: the perceptual distance of poor sources, and which kinds are worse than bicubic."""
    chosen = [index for index, case in enumerate(cases) if case.kind in POOR]
    if not chosen:
        return
    distances = {model: fmean(figures[index].perceptual for index in chosen) for model, figures in report.items()}
    print("\n| poor sources | perceptual | share of the way | kinds farther from the truth than bicubic |")
    print("|---" * 4 + "|")
    for model, distance in distances.items():
        way = distances[BASE] - distances.get(PEER, float("nan"))
        worse = []
        for kind in dict.fromkeys(case.kind for case in cases):
            own = [index for index, case in enumerate(cases) if case.kind == kind]
            mine, base = (fmean(report[each][index].perceptual for index in own) for each in (model, BASE))
            if mine > base:
                worse.append(kind)
        share = (distances[BASE] - distance) / way
        print(f"| {model} | {distance:.3f} | {share:.2f} | {', '.join(worse) or '-'} |")


if __name__ == "__main__":
    main()
