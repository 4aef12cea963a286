"""Compares speed side by side in one run: ours, the bare network on the same tiles, and Real-ESRGAN's own class.

Real-ESRGAN's class computes on the same device as ours, in each of our precisions that it knows. Every round runs each
contestant once, in turn, so that a machine whose speed drifts is the same for all; the ratios are medians over the
rounds. Prints a table and writes JSON. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

from upscaler import Upscaler, catalog, codecs
from upscaler.device import pick_device
from upscaler.engines import engine_for
from upscaler.surface import Upload, cut

ROOT = Path(__file__).resolve().parent.parent
RIVAL = ROOT / "benchmarks" / "rival.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rival", type=Path, help="the Python of an environment that has Real-ESRGAN; see README.md")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="768x512", help="of the source picture")
    parser.add_argument("--device", default=None)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "speed.json")
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    sample = codecs.decode(ROOT / "samples" / "astronaut.jpg").pixels
    picture = cv2.resize(np.ascontiguousarray(sample), (width, height), interpolation=cv2.INTER_CUBIC)
    report = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "picture.npy", picture)
        for title, weights, features, convolutions in (
            ("64 features, 32 convolutions", lively_network(folder), 64, 32),
            ("photo-fast", catalog.find("photo-fast").file, 32, 15),
        ):
            contestants = ours(weights, picture, arguments.device)
            if arguments.rival:
                for precision, tile in product(rival_precisions(contestants), (0, 256)):
                    job = {
                        "weights": str(weights),
                        "network": {"kind": "compact", "features": features, "convolutions": convolutions, "scale": 4},
                        "picture": str(folder / "picture.npy"),
                        "tile": tile,
                        "tile_pad": 10,
                        "repeats": 1,
                        "device": str(pick_device(arguments.device)),
                        "precision": precision,
                    }
                    label = f"Real-ESRGAN's class, {f'tiles of {tile}' if tile else 'whole'}, {precision}"
                    contestants[label] = lambda job=job: rival(arguments.rival, job)
            report[title] = compare(title, contestants, arguments.rounds)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({"size": arguments.size, "seconds": report}, indent=1))


def rival_precisions(contestants: dict[str, Callable[[], float]]) -> list[str]:
    """Returns the precisions of ours in which the rival computes, too: float32, and half precision on a GPU."""
    return [precision for precision in ("fp32", "fp16") if f"ours, {precision}" in contestants]


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


def ours(weights: Path, picture: np.ndarray, device: str | None) -> dict[str, Callable[[], float]]:
    """Name -> function that runs once and returns its seconds."""
    found = {}
    for precision in ("auto", "fp32"):
        up = Upscaler(str(weights), device=device, precision=precision)
        estimate = up.estimate(picture)
        plan, info = estimate.plans[0], estimate.engine
        found[f"ours, {info.precision}"] = timed(lambda up=up: up(picture))
        engine = engine_for(catalog.find(str(weights)), device, precision)
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[info.precision]
        batches = [batch.pixels for batch in cut(Upload(picture), plan)]
        found[f"our engine alone, same {plan.count} tiles of {plan.tile}, {info.precision}"] = timed(
            lambda engine=engine, batches=batches: [engine.run(batch) for batch in batches]
        )
        tiles = [torch.from_numpy(batch).permute(0, 3, 1, 2).to(info.device, dtype) for batch in batches]
        network = engine._computation.network  # the bare network is what the engine is compared with
        label = f"bare network, same {plan.count} tiles of {plan.tile}, {info.precision}"
        found[label] = timed(lambda network=network, tiles=tiles: bare(network, tiles))
        whole = torch.from_numpy(np.float32(picture[None]) / 255).permute(0, 3, 1, 2).to(info.device, dtype)
        found[f"bare network, whole picture, {info.precision}"] = timed(
            lambda network=network, whole=whole: bare(network, [whole])
        )
    return found


def bare(network: Callable[[torch.Tensor], torch.Tensor], tiles: list[torch.Tensor]) -> None:
    with torch.inference_mode():
        for tile in tiles:
            network(tile)
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(work: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


def rival(python: Path, job: dict[str, object]) -> float:
    done = subprocess.run([python, RIVAL, json.dumps(job)], capture_output=True, text=True, check=True)
    return min(json.loads(done.stdout)["seconds"])


def compare(title: str, contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    for run in contestants.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            seconds[name].append(run())
    first = next(iter(seconds.values()))
    print(f"\n{title}\n{'seconds (median, min..max)':>30}  {'ratio to ours,':>18}  {'ratio to':>12}")
    print(f"{'':30}  {'same precision':>18}  {'the first':>12}")
    for name, values in seconds.items():
        ours_alike = seconds[f"ours, {name.rpartition(', ')[2]}"]
        alike, ratio = (
            statistics.median(value / own for value, own in zip(values, base, strict=True))
            for base in (ours_alike, first)
        )
        spread = f"{statistics.median(values):8.3f}  {min(values):.3f}..{max(values):.3f}"
        print(f"{spread:>30}  {alike:18.2f}  {ratio:12.2f}  {name}")
    return seconds


if __name__ == "__main__":
    main()
