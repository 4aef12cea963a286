"""Trains `clean` and what enlarges behind it, end to end: `python -m training.chain --photos FOLDER --labelled FOLDER`.

See README.md. Poor sources are taught by what `label_worn` wrote, clean ones by the truth. It can be stopped at any
time; the same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from .cleaning import Clean
from .data import Pool, photo_folder, photographs
from .descent import Descent, has_bfloat16
from .losses import bicubic, charbonnier, luma, weave
from .networks import Judge, plain, start_from, weights
from .perceptual import Backbone, distance
from .sitting import Batch, Sitting, endless
from .worn_data import WornPieces

FEATURES, CONVOLUTIONS = 64, 16
"""Of what enlarges: 0.62 million multiply-adds a source pixel, a field of 37 pixels."""
PIECE, SIDE = 64, 48
"""Source pixels of pieces and of the parts that are learned from."""
POOR, CLEAN = 6, 2
"""Parts of a step. A quarter is clean, so that clean sources keep their texture."""
CLEAN_PAGES = 0.3
"""Share of clean parts that are drawn. With a tenth, two letters of a hundred could not be read after 1,840 steps."""
POOL, FRESH = 768, 2
"""Clean pieces at hand, and new ones a step."""
RATE = 4e-4
PERCEPTUAL = 0.06
"""Weight of the perceptual distance, half of it from what is taught and half from the truth. Alone, at 0.08 and 0.2,
results had three quarters of the teacher's detail after 1,100 steps and were soft; at 0.03, and from what is taught
alone, nothing changed any more after 6,000."""
WEAVE = 1.0
"""Weight of patterns of four pixels, which the perceptual distance does not mind."""
JUDGE, HASTE = 16, 4.0
"""Features of the judge, with which a step takes half as long again; and how much faster it learns than the others: at
the same rate it had not learned anything after 250 steps."""
CLEANED = 0.5
"""Weight of the distance of what `clean` gives from the clean source: it stays a network that can be used alone."""
BORDER = 8
"""Pixels of a result at its edges that no loss sees, and a little more."""
WANDER = 16
"""Pixels by which the losses' part of a result is moved at most. The backbone's strides do not see a weave that lies
still beneath them: without it there was one in all flat parts after 500 steps."""
MEASURED = 24
"""Held-out pieces."""


class Chain(nn.Module):
    """Two networks, learned together."""

    def __init__(self) -> None:
        super().__init__()
        self.clean = Clean()
        self.photo = plain(FEATURES, CONVOLUTIONS)

    def forward(self, source: torch.Tensor, strength: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The cleaned source; and four times as wide and high what lies so far between the source and that."""
        cleaned = self.clean(source)
        mixed = source + strength * (cleaned.clamp(0, 1) - source)
        return cleaned, self.photo(mixed)


def main() -> None:
    """Trains until the minutes are used up."""
    arguments = _arguments()
    torch.manual_seed(arguments.seed)
    network = Chain().to(memory_format=torch.channels_last)
    if arguments.clean:
        network.clean.start_from(load_file(arguments.clean))
    if arguments.photo:
        start_from(network.photo, load_file(arguments.photo))
    loss = Loss(network, arguments.perceptual, arguments.judged)
    rival = Descent(loss.judge, HASTE * arguments.rate) if arguments.judged else None
    sitting = Sitting(Descent(network, arguments.rate, warmup=60, average=0.995), arguments.out, rival)
    files = photographs(arguments.photos, held_out=False)
    clean = WornPieces(files, PIECE, enlarged=True, is_clean=True, pages=CLEAN_PAGES)
    fresh = endless(clean, FRESH, arguments.workers, arguments.seed + sitting.descent.steps)
    pools = poor_pool(arguments.labelled), Pool.made(as_taught(fresh), POOL, torch.device("cpu"))
    sources, wanted = held_out(arguments.photos)
    if not arguments.eager:
        loss.compile()

    def batch() -> Batch:
        pools[1].renew()
        poor, good = (pool.batch(count, SIDE) for pool, count in zip(pools, (POOR, CLEAN), strict=True))
        pictures = [torch.cat(each) for each in zip(poor, good, strict=True)]
        pictures.append(strengths())
        return [each.contiguous(memory_format=torch.channels_last) for each in pictures]

    def save() -> dict[str, float]:
        own = Chain().eval()
        own.load_state_dict(sitting.descent.average)
        save_file(own.clean.weights(), arguments.out / "clean-x1.safetensors")
        save_file(weights(own.photo), arguments.out / "photo-x4.safetensors")
        return measured(own, sources, wanted, loss.backbone)

    sitting.go(loss, batch, arguments.minutes, save, loss.of_judge)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=photo_folder, required=True, help="a folder of .jpg and .png")
    parser.add_argument("--labelled", type=Path, required=True, help="what training.label_worn wrote")
    parser.add_argument("--clean", type=Path, help="weights to begin with, of training.clean")
    parser.add_argument("--photo", type=Path, help="weights to begin with, of a Compact network of 4x")
    parser.add_argument("--out", type=Path, default=Path("build/training/chain"))
    parser.add_argument("--minutes", type=float, default=90.0, help="of the schedule, earlier sittings counted")
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--perceptual", type=float, default=PERCEPTUAL, help="weight of the perceptual distance")
    parser.add_argument("--judged", type=float, default=0.0, help="weight of a judge's word, who learns beside")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that make pieces; 12 or more for a GPU")
    parser.add_argument("--eager", action="store_true", help="do not compile: starts at once, needs no C++ compiler")
    return parser.parse_args()


class Loss:
    """Of a part of a batch: source, clean source, truth, and what is taught of it."""

    def __init__(self, network: Chain, perceptual: float, judged: float) -> None:
        self.backbone = Backbone().to(memory_format=torch.channels_last)
        self.judge = Judge(JUDGE).to(memory_format=torch.channels_last)
        self._network: Callable[..., tuple[torch.Tensor, torch.Tensor]] = network
        self._perceptual = perceptual
        self._judged = judged
        self._is_quick = has_bfloat16("cpu")

    def compile(self) -> None:
        """A step then takes 0.83 of the time on a CPU. Not before processes are forked: a compiler's threads may hold
        what they wait for."""
        self._network = torch.compile(self._network)

    def __call__(
        self,
        source: torch.Tensor,
        clean: torch.Tensor,
        truth: torch.Tensor,
        taught: torch.Tensor,
        strength: torch.Tensor,
    ) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self._is_quick):
            cleaned, result = self._network(source, strength)
        place = [int(number) for number in torch.randint(WANDER + 1, (2,))]
        result, taught, truth = (inner(each.float(), *place) for each in (result, taught, truth))
        with torch.autocast("cpu", torch.bfloat16, enabled=self._is_quick):
            with torch.no_grad():
                wanted = self.backbone(taught), self.backbone(truth)
            found = self.backbone(result)
            looks = (distance(found, wanted[0]) + distance(found, wanted[1])) / 2
        kept = charbonnier(cleaned.float(), clean)
        pixels = charbonnier(result, taught) + WEAVE * weave(result, taught)
        whole = pixels + CLEANED * kept + self._perceptual * looks
        if not self._judged:
            return whole
        with torch.autocast("cpu", torch.bfloat16, enabled=self._is_quick):
            verdict = self.judge(result)
        return whole + self._judged * functional.softplus(-verdict.float()).mean()

    def of_judge(self, source: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """What is taught is to be called real, results not."""
        taught, strength = others[-2:]
        place = [int(number) for number in torch.randint(WANDER + 1, (2,))]
        with torch.autocast("cpu", torch.bfloat16, enabled=self._is_quick):
            with torch.no_grad():
                _, result = self._network(source, strength)
            real, made = (self.judge(inner(each.float(), *place)) for each in (taught, result))
        return functional.softplus(-real.float()).mean() + functional.softplus(made.float()).mean()


def strengths() -> torch.Tensor:
    """How far the sources of a step are cleaned, (POOR + CLEAN, 1, 1, 1): poor ones wholly or nearly, clean ones mostly
    not at all, since before enlarging they are left as they are."""
    poor = torch.where(torch.rand(POOR) < 0.8, 1.0, 0.5 + torch.rand(POOR) / 2)
    clean = (torch.rand(CLEAN) < 0.25).float()
    return torch.cat([poor, clean])[:, None, None, None]


def inner(picture: torch.Tensor, down: int, across: int) -> torch.Tensor:
    """Without its edges, moved so far."""
    top, left = BORDER + down, BORDER + across
    height, width = (length - 2 * BORDER - WANDER for length in picture.shape[-2:])
    return picture[..., top : top + height, left : left + width]


def poor_pool(folder: Path) -> Pool:
    """Source, clean source, truth and the teacher's answer."""
    files = [load_file(file) for file in sorted(folder.glob("*.safetensors"))]
    names = ("source", "clean", "truth", "taught")
    return Pool([torch.cat([file[name] for file in files]) for name in names], torch.device("cpu"), None)


def as_taught(pieces: Iterator[Batch]) -> Iterator[Batch]:
    """Of clean sources the truth is taught."""
    for source, clean, truth in pieces:
        yield [source, clean, truth, truth]


def held_out(photos: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Poor sources and truths, always the same: float32, 0..1."""
    pieces = WornPieces(photographs(photos, held_out=True), PIECE, enlarged=True, is_clean=False)
    random = np.random.default_rng(5)
    found = [pieces.piece(random) for _ in range(MEASURED)]
    sources, _, truths = (torch.stack(each).float() / 255 for each in zip(*found, strict=True))
    return sources, truths


@torch.no_grad()
def measured(network: Chain, sources: torch.Tensor, truths: torch.Tensor, backbone: Backbone) -> dict[str, float]:
    """Levels of 255 from the truth and perceptual distance, beside bicubic's."""
    figures: dict[str, float] = {}
    for name, results in (("result", network(sources, torch.ones(1))[1].clamp(0, 1)), ("bicubic", bicubic(sources))):
        figures[f"{name}, levels"] = float(255 * luma(results - truths).abs().mean())
        figures[f"{name}, looks"] = float(distance(backbone(results), backbone(truths)))
    return figures


if __name__ == "__main__":
    main()
