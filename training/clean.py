"""Trains the network that cleans: `python -m training.clean --photos FOLDER --out FOLDER --minutes 60`. See README.md.

It can be stopped at any time; the same command goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from .cleaning import Clean
from .data import Pool, find_photographs, parse_folder
from .descent import Descent, has_bfloat16, pick_device
from .losses import charbonnier, luma
from .sitting import Sitting
from .worn_data import WornPieces

PIECE, SIDE, BATCH = 80, 64, 16
"""Source pixels of pieces and of the parts that are learned from, and the parts of a step."""
POOL, FRESH = 2048, 6
"""Pieces at hand, and new ones a step: each part of a step is new more often than not."""
RATE = 1.2e-3
MEASURED = 96
"""Held-out pieces."""


def main() -> None:
    """Trains until the minutes are used up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=parse_folder, required=True, help="a folder of .jpg and .png")
    parser.add_argument("--out", type=Path, default=Path("build/training/clean"))
    parser.add_argument("--start", type=Path, help="weights to begin with, as this program writes them")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the schedule, earlier sittings counted")
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that make pieces; 12 or more for a GPU")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    device = pick_device()
    network = Clean()
    if arguments.start:
        network.start_from(load_file(arguments.start))
    network.to(device).to(memory_format=torch.channels_last)
    sitting = Sitting(Descent(network, arguments.rate, warmup=60, average=0.998), arguments.out)
    pieces = WornPieces(find_photographs(arguments.photos, held_out=False), PIECE, enlarged=False)
    fresh = pieces.stream(FRESH, arguments.workers, arguments.seed + sitting.descent.steps)
    pool = Pool.fill(fresh, POOL, device)
    sources, wanted = (each.to(device) for each in make_held_out(arguments.photos))
    is_quick = has_bfloat16(device.type)

    def loss(source: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=is_quick):
            result = network(source)
        return charbonnier(result.float(), clean)

    def batch() -> list[torch.Tensor]:
        pool.renew()
        return pool.batch(BATCH, SIDE)

    def save() -> dict[str, float]:
        own = Clean().eval().to(device)
        own.load_state_dict(sitting.descent.average)
        save_file(own.export(), arguments.out / "clean-x1.safetensors")
        return measure(own, sources, wanted)

    sitting.go(loss, batch, arguments.minutes, save)


def make_held_out(photos: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns sources and what they should become, always the same: float32, (count, 3, SIDE, SIDE), 0..1."""
    pieces = WornPieces(find_photographs(photos, held_out=True), SIDE, enlarged=False)
    random = np.random.default_rng(12)
    pairs = [pieces.piece(random) for _ in range(MEASURED)]
    sources, wanted = (torch.stack(each).float() / 255 for each in zip(*pairs, strict=True))
    return sources, wanted


@torch.no_grad()
def measure(network: torch.nn.Module, sources: torch.Tensor, wanted: torch.Tensor) -> dict[str, float]:
    """Computes, in levels of 255, the mean distance of results, and of sources as they are; the same of sources that
    were clean."""
    results = network(sources)
    distances = [255 * luma(each - wanted).abs().mean((1, 2, 3)) for each in (results, sources)]
    is_clean = distances[1] < 0.5
    return {
        "result": float(distances[0][~is_clean].mean()),
        "source": float(distances[1][~is_clean].mean()),
        "clean": float(distances[0][is_clean].mean()),
    }


if __name__ == "__main__":
    main()
