"""Compares a folder as one job with the bare network on the same pixels, with a loop over commands, with Real-ESRGAN's
script on the same device in the same precision; `--flat` instead measures whether memory stays the same as pictures
pass.

The pictures are crops of the samples, the same at each run. Job, bare network and rival take turns, so that a machine
whose speed drifts is the same for all; the ratios are medians over the rounds. Prints a table and writes JSON. See
README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ("astronaut.jpg", "camera.jpg", "chelsea.png", "coffee.jpg", "lineart.png")
SIDES = (96, 320)
"""Pixels of the shortest and the longest side of a picture."""
UNUSUAL = 20
"""Of so many pictures one is grey, one has alpha, one has 16 bits."""
SMALL = 16
"""Pixels of a side of the pictures of `--flat`."""
EARLY = 500
"""Pictures after which memory is first looked at."""
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, help="of the pictures (default: 200, with --flat 10000)")
    parser.add_argument("--model", help="default: photo, with --flat lanczos")
    parser.add_argument("--device", help="default: the best there is")
    parser.add_argument("--precision", help="default: auto; on a CPU with --rival fp32, which the rival computes in")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=5, help="pictures of the loop over commands; 0 leaves it out")
    parser.add_argument("--rival", type=Path, help="the Python of an environment that has Real-ESRGAN; see README.md")
    parser.add_argument("--flat", action="store_true", help="measure memory instead")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "batch.json")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--loop", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop:
        print(script_loop(arguments.loop))
        return
    if arguments.child:
        print(json.dumps(measure(arguments.child, arguments.model)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sources").mkdir()
        if arguments.flat:
            report = flat(folder, arguments.model or "lanczos", arguments.count or 10000)
        else:
            make_mixed(folder / "sources", arguments.count or 200)
            report = compare(folder, arguments)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1))


def make_mixed(folder: Path, count: int) -> None:
    """Crops of all samples, of many sizes and shapes: JPEG and PNG by turns, some of them unusual."""
    random = np.random.default_rng(0)
    samples = [np.asarray(cv2.imread(str(ROOT / "samples" / name), cv2.IMREAD_COLOR)) for name in SAMPLES]
    for index in range(count):
        sample = samples[index % len(samples)]
        height, width = (min(int(random.integers(*SIDES, endpoint=True)), side) for side in sample.shape[:2])
        top, left = int(random.integers(len(sample) - height + 1)), int(random.integers(sample.shape[1] - width + 1))
        crop = sample[top : top + height, left : left + width]
        suffix = ".jpg" if index % 2 else ".png"
        match index % UNUSUAL:
            case 1:
                crop = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
            case 4:
                crop = np.dstack([crop, np.broadcast_to(np.linspace(0, 255, width), (height, width)).astype(np.uint8)])
            case 10:
                crop = crop * np.uint16(257)
        cv2.imwrite(str(folder / f"{index:05}{suffix}"), crop)


def compare(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each contestant for all pictures, and their ratios to the job."""
    from upscaler.device import pick_device
    from upscaler.pipeline import Pipeline, PipelineOptions

    sources = sorted((folder / "sources").iterdir())
    device = pick_device(arguments.device)
    precision = arguments.precision or ("fp32" if arguments.rival and device.type == "cpu" else "auto")
    pipeline = Pipeline(arguments.model or "photo", PipelineOptions(device=str(device), precision=precision))
    computed_in = pipeline.estimate(np.zeros((64, 64, 3), np.uint8)).engine.precision
    contestants = {"the job": job(pipeline, folder), "the bare network": bare(pipeline, sources)}
    if arguments.rival:
        place = {"device": str(device), "precision": computed_in}
        contestants["Real-ESRGAN's script loop"] = rival(arguments.rival, pipeline.model, folder, place)
    for run in contestants.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(arguments.rounds):
        for name, run in contestants.items():
            seconds[name].append(run())
    if arguments.calls:
        some = sources[:: max(len(sources) // arguments.calls, 1)][: arguments.calls]
        name = f"a loop over commands, from {len(some)} pictures"
        options = ["-m", pipeline.model.name, "--device", str(device), "--precision", precision]
        seconds[name] = [commands(options, some, folder) * len(sources) / len(some)]
    print(f"{pipeline.model.name}, {len(sources)} pictures, {computed_in} on {device}")
    print(f"{'pictures/s':>11}  {'seconds':>8}  {'ratio to the job':>17}")
    ratios = {}
    for name, values in seconds.items():
        ratios[name] = statistics.median(value / own for value, own in zip(values, seconds["the job"], strict=False))
        median = statistics.median(values)
        print(f"{len(sources) / median:11.2f}  {median:8.2f}  {ratios[name]:17.3f}  {name}")
    about = {"model": pipeline.model.name, "device": str(device), "precision": computed_in, "pictures": len(sources)}
    return {**about, "seconds": seconds, "ratios": ratios}


def job(pipeline: Any, folder: Path) -> Callable[[], float]:
    """The whole job, into a new folder each time: reading, computing, writing, the manifest."""
    from upscaler import Target
    from upscaler.codecs import EncodeOptions
    from upscaler.inputs.discover import find_jobs
    from upscaler.jobs import batch

    def run() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as results:
            start = time.perf_counter()
            found = find_jobs([str(folder / "sources")], f"{results}/", EncodeOptions(), "")
            outcomes = list(batch.run(pipeline, found.jobs, Target(), folder=found.folder))
            seconds = time.perf_counter() - start
        for outcome in outcomes:
            if outcome.error:
                raise RuntimeError(outcome.error)
        return seconds

    return run


def bare(pipeline: Any, sources: list[Path]) -> Callable[[], float]:
    """The job's own engines on the job's own tiles, all of which have been cut before."""
    from upscaler import codecs
    from upscaler.pipeline import _layers
    from upscaler.surface import Upload, cut

    work = []
    for source in sources:
        picture = codecs.decode(source)
        layers = _layers(picture, None)
        for step in pipeline._passes(picture, pipeline.estimate(picture)):
            for layer in (layer for layer in layers if not layer.is_alpha or step.computes_alpha(picture)):
                pixels = layer.pixels if layer.pixels.shape[2] == 3 else np.repeat(layer.pixels, 3, axis=2)
                work += [(step.engine, batch.pixels) for batch in cut(Upload(pixels), step.plan)]

    def run() -> float:
        start = time.perf_counter()
        for engine, tiles in work:
            engine.run(tiles)
        return time.perf_counter() - start

    return run


def commands(options: list[str], sources: list[Path], folder: Path) -> float:
    """Seconds of one `upscaler` process for each picture, one after the other."""
    with tempfile.TemporaryDirectory(dir=folder) as results:
        start = time.perf_counter()
        for source in sources:
            command = [sys.executable, "-m", "upscaler", str(source), *options, "-o", f"{results}/", "--quiet"]
            subprocess.run(command, check=True, cwd=ROOT)
        return time.perf_counter() - start


def rival(python: Path, model: Any, folder: Path, place: dict[str, str]) -> Callable[[], float]:
    """The loop in a process of its own; the network's kind and sizes are read from its weights."""
    from safetensors import safe_open

    from upscaler import catalog

    weights = catalog.fetch_model(model)
    with safe_open(weights, "numpy") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in list(file.keys())}
    kernels = [shape for shape in shapes.values() if len(shape) == 4]
    if "body.0.weight" not in shapes:
        raise SystemExit(f"{model.name}: the rival is compared with compact networks only. Leave --rival out.")
    sizes = {"features": shapes["body.0.weight"][0], "convolutions": len(kernels) - 2, "scale": 4}
    task = {
        "weights": str(weights),
        "network": {"kind": "compact", **sizes},
        "sources": str(folder / "sources"),
        "tile": 0,
        "tile_pad": 10,
        **place,
    }
    command = [str(python), __file__, "--loop", json.dumps(task)]

    def run() -> float:
        return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)

    return run


def script_loop(task: dict[str, Any]) -> float:
    """Seconds of what `inference_realesrgan.py` does with a folder, its class made and run once before: in the rival's
    environment."""
    from rival import build_rival, enhance, supply_functional_tensor

    supply_functional_tensor()
    upsampler = build_rival(task)
    enhance(upsampler, np.zeros((64, 64, 3), np.uint8))
    with tempfile.TemporaryDirectory() as results:
        start = time.perf_counter()
        for source in sorted(Path(task["sources"]).iterdir()):
            result, _ = enhance(upsampler, cv2.imread(str(source), cv2.IMREAD_UNCHANGED))
            cv2.imwrite(str(Path(results, source.name)), result)
        return time.perf_counter() - start


def flat(folder: Path, model: str, count: int) -> dict[str, Any]:
    """Memory of a job of many small pictures, in a process of its own."""
    sample = np.asarray(cv2.imread(str(ROOT / "samples" / "chelsea.png")))
    random = np.random.default_rng(0)
    for index in range(count):
        top, left = (int(random.integers(side - SMALL)) for side in sample.shape[:2])
        crop = sample[top : top + SMALL, left : left + SMALL]
        cv2.imwrite(str(folder / "sources" / f"{index:05}.png"), crop)
    command = [sys.executable, __file__, "--model", model, "--child", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    for name, value in report.items():
        print(f"{value:10}  {name}")
    return {"model": model, **report}


def measure(folder: Path, model: str) -> dict[str, float]:
    """One job in this process: its highest anonymous memory so far, after the early pictures and after all."""
    from memory import anonymous

    from upscaler import Upscaler

    highest = early = done = 0
    start = time.perf_counter()
    for done, outcome in enumerate(Upscaler(model).batch(folder / "sources", folder / "results"), 1):
        if outcome.error:
            raise RuntimeError(outcome.error)
        highest = max(highest, anonymous())
        early = highest if done <= EARLY else early
    return {
        f"MiB after {min(EARLY, done)} pictures": round(early / MIB, 1),
        f"MiB after {done} pictures": round(highest / MIB, 1),
        "ratio": round(highest / early, 4),
        "seconds": round(time.perf_counter() - start, 1),
    }


if __name__ == "__main__":
    main()
