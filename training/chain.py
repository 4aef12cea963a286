"""Trains `clean` and what enlarges behind it, end to end: `python -m training.chain --photos FOLDER --labelled FOLDER`.

See README.md, which has the arguments for each of the embedded networks. Poor sources are taught by what `label` wrote,
clean ones by the truth. It can be stopped at any time; the same command goes on.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from .cleaning import Clean
from .data import Pool, find_photographs, parse_folder
from .descent import Descent, has_bfloat16, pick_device
from .losses import bicubic, charbonnier, decibels, frequencies, psnr, weave
from .networks import export, make_compact, start_from
from .perceptual import Backbone, distance
from .sitting import Batch, Sitting
from .worn_data import PAGES, WornPieces

SIZE = "64x16"
"""Features and convolutions of what enlarges: 0.62 million multiply-adds a source pixel, a field of 37 pixels."""
PIECE, SIDE = 64, 48
"""Source pixels of pieces and of the parts that are learned from."""
POOR, CLEAN = 6, 2
"""Parts of a step. A quarter is clean, so that clean sources keep their texture."""
TRUE_POOR, TRUE_CLEAN = 4, 12
"""The same where the truth alone is taught: clean photographs are what such a network is chosen for."""
SPECTRA = 0.04
"""Weight of the spectra where the truth alone is taught: their term is as large as the other at about 0.8, and should
be the lesser."""
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
CLEANED = 0.5
"""Weight of the distance of what `clean` gives from the clean source: it stays a network that can be used alone."""
BORDER = 8
"""Pixels of a result at its edges that no loss sees, and a little more."""
WANDER = 16
"""Pixels by which the losses' part of a result is moved at most. The backbone's strides do not see a weave that lies
still beneath them: without it there was one in all flat parts after 500 steps."""
NEAR = 0.5
"""Share of parts that the backbone sees twice as large, and half of each: it begins with a stride of two pixels, and a
weave of four pixels is coarse enough for it then."""
MEASURED = 24
"""Held-out pieces."""


class Chain(nn.Module):
    """Two networks, learned together."""

    def __init__(self, size: str = SIZE, *, keeps_clean: bool = False) -> None:
        """Makes both anew. `size` is that of what enlarges; `keeps_clean`: only that is learned."""
        super().__init__()
        features, convolutions = (int(number) for number in size.split("x"))
        self.clean = Clean().requires_grad_(not keeps_clean)
        self.photo = make_compact(features, convolutions)

    def forward(self, source: torch.Tensor, strength: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the cleaned source; and four times as wide and high what lies so far between the source and that."""
        cleaned = self.clean(source)
        mixed = source + strength * (cleaned.clamp(0, 1) - source)
        return cleaned, self.photo(mixed)


def main() -> None:
    """Trains until the minutes are used up."""
    arguments = _arguments()
    torch.manual_seed(arguments.seed)
    device = pick_device()
    network = Chain(arguments.size, keeps_clean=arguments.keep_clean)
    if arguments.clean:
        network.clean.start_from(load_file(arguments.clean))
    if arguments.photo:
        start_from(network.photo, load_file(arguments.photo))
    network.to(device).to(memory_format=torch.channels_last)
    counts = (TRUE_POOR, TRUE_CLEAN) if arguments.truth else (POOR, CLEAN)
    loss = TrueLoss(network) if arguments.truth else Loss(network, arguments.perceptual)
    sitting = Sitting(Descent(network, arguments.rate, warmup=60, average=0.995), arguments.out)
    files = find_photographs(arguments.photos, held_out=False)
    new, seed = 2 * FRESH if arguments.truth else FRESH, arguments.seed + sitting.descent.steps
    clean = WornPieces(files, PIECE, enlarged=True, is_clean=True, pages=arguments.pages)
    if arguments.labelled:
        poor = load_pool(arguments.labelled, device)
    else:
        worn = WornPieces(files, PIECE, enlarged=True, is_clean=False, pages=arguments.pages)
        poor = make_pool(worn.stream(new, arguments.workers, seed + 1), device)
    pools = poor, make_pool(clean.stream(new, arguments.workers, seed), device)
    held_out = {kind: make_held_out(arguments.photos, is_clean=kind == "clean") for kind in ("poor", "clean")}
    if not arguments.eager:
        loss.compile()

    def batch() -> Batch:
        for pool in pools:
            pool.renew()
        poor, good = (pool.batch(count, SIDE) for pool, count in zip(pools, counts, strict=True))
        pictures = [torch.cat(each) for each in zip(poor, good, strict=True)]
        pictures.append(draw_strengths(*counts).to(device))
        return [each.contiguous(memory_format=torch.channels_last) for each in pictures]

    def save() -> dict[str, float]:
        own = Chain(arguments.size).eval().to(device)
        own.load_state_dict(sitting.descent.average)
        save_file(own.clean.export(), arguments.out / "clean-x1.safetensors")
        save_file(export(own.photo), arguments.out / "photo-x4.safetensors")
        return measure(own, held_out, loss.backbone)

    sitting.go(loss, batch, arguments.minutes, save)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=parse_folder, required=True, help="a folder of .jpg and .png")
    parser.add_argument("--labelled", type=Path, help="what training.label wrote; without it truths are taught")
    parser.add_argument("--clean", type=Path, help="weights to begin with, of training.clean")
    parser.add_argument("--photo", type=Path, help="weights to begin with, of a Compact network of 4x")
    parser.add_argument("--size", default=SIZE, help="of what enlarges: features x convolutions")
    parser.add_argument("--keep-clean", action="store_true", help="learn only what enlarges")
    parser.add_argument("--truth", action="store_true", help="teach the truth alone, as `faithful` is taught")
    parser.add_argument("--out", type=Path, default=Path("build/training/chain"))
    parser.add_argument("--minutes", type=float, default=90.0, help="of the schedule, earlier sittings counted")
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--perceptual", type=float, default=PERCEPTUAL, help="weight of the perceptual distance")
    parser.add_argument("--pages", type=float, default=CLEAN_PAGES, help="share of clean pieces that are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that make pieces; 12 or more for a GPU")
    parser.add_argument("--eager", action="store_true", help="do not compile: starts at once, needs no C++ compiler")
    return parser.parse_args()


class Loss:
    """Of a part of a batch: source, clean source, truth, and what is taught of it."""

    def __init__(self, network: Chain, perceptual: float) -> None:
        device = next(network.parameters()).device
        self.backbone = Backbone().to(device).to(memory_format=torch.channels_last)
        self._network: Callable[..., tuple[torch.Tensor, torch.Tensor]] = network
        self._perceptual = perceptual
        self._kind = device.type
        self._is_quick = has_bfloat16(device.type)

    def compile(self) -> None:
        """Compiles the network: a step then takes 0.83 of the time on a CPU. It must not be called before processes are
        forked: a compiler's threads may hold what they wait for."""
        self._network = torch.compile(self._network)

    def __call__(
        self,
        source: torch.Tensor,
        clean: torch.Tensor,
        truth: torch.Tensor,
        taught: torch.Tensor,
        strength: torch.Tensor,
    ) -> torch.Tensor:
        with torch.autocast(self._kind, torch.bfloat16, enabled=self._is_quick):
            cleaned, result = self._network(source, strength)
        place = [int(number) for number in torch.randint(WANDER + 1, (2,))]
        result, taught, truth = (crop(each.float(), *place) for each in (result, taught, truth))
        with torch.autocast(self._kind, torch.bfloat16, enabled=self._is_quick):
            is_near = bool(torch.rand(1) < NEAR)
            views = [magnify(each) if is_near else each for each in (result, taught, truth)]
            with torch.no_grad():
                wanted = self.backbone(views[1]), self.backbone(views[2])
            found = self.backbone(views[0])
            looks = (distance(found, wanted[0]) + distance(found, wanted[1])) / 2
        kept = charbonnier(cleaned.float(), clean)
        pixels = charbonnier(result, taught) + WEAVE * weave(result, taught)
        return pixels + CLEANED * kept + self._perceptual * looks


class TrueLoss(Loss):
    """The truth alone is taught."""

    def __init__(self, network: Chain) -> None:
        super().__init__(network, 0.0)

    def __call__(self, source: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        truth, strength = others[1], others[-1]
        with torch.autocast(self._kind, torch.bfloat16, enabled=self._is_quick):
            _, result = self._network(source, strength)
        result, truth = (each.float()[..., BORDER:-BORDER, BORDER:-BORDER] for each in (result, truth))
        return decibels(result, truth) + SPECTRA * frequencies(result, truth)


def draw_strengths(poor_count: int, clean_count: int) -> torch.Tensor:
    """Draws how far the sources of a step are cleaned, (count of both, 1, 1, 1): poor ones wholly or nearly, clean ones
    mostly not at all, since before enlarging they are left as they are."""
    poor = torch.where(torch.rand(poor_count) < 0.8, 1.0, 0.5 + torch.rand(poor_count) / 2)
    clean = (torch.rand(clean_count) < 0.25).float()
    return torch.cat([poor, clean])[:, None, None, None]


def magnify(picture: torch.Tensor) -> torch.Tensor:
    """Returns the middle, half as wide and high, at the size of the whole."""
    height, width = picture.shape[-2:]
    middle = picture[..., height // 4 : height - height // 4, width // 4 : width - width // 4]
    return functional.interpolate(middle, scale_factor=2, mode="bilinear")


def crop(picture: torch.Tensor, down: int, across: int) -> torch.Tensor:
    """Cuts off the edges, `BORDER` and what the part can wander; the part is moved so far."""
    top, left = BORDER + down, BORDER + across
    height, width = (length - 2 * BORDER - WANDER for length in picture.shape[-2:])
    return picture[..., top : top + height, left : left + width]


def load_pool(folder: Path, device: torch.device) -> Pool:
    """Returns what `label` wrote: source, clean source, truth and the teacher's answer."""
    files = [load_file(file) for file in sorted(folder.glob("*.safetensors"))]
    if not files:
        raise SystemExit(f"{folder}: has no labelled pieces. Run training.label first.")
    names = ("source", "clean", "truth", "taught")
    return Pool([torch.cat([file[name] for file in files]) for name in names], device, None)


def make_pool(pieces: Iterator[Batch], device: torch.device) -> Pool:
    """Returns pieces that are made as they are needed, whose truth is taught."""
    return Pool.fill(teach_truth(pieces), POOL, device)


def teach_truth(pieces: Iterator[Batch]) -> Iterator[Batch]:
    """Yields the pieces with their truth once more, in the place of a teacher's answer."""
    for source, clean, truth in pieces:
        yield [source, clean, truth, truth]


HeldOut = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""Sources and truths by their kind, poor or clean."""


def make_held_out(photos: Path, *, is_clean: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns sources and truths, always the same: float32, 0..1, on the host."""
    files = find_photographs(photos, held_out=True)
    pieces = WornPieces(files, PIECE, enlarged=True, is_clean=is_clean, pages=0.0 if is_clean else PAGES)
    random = np.random.default_rng(5)
    found = [pieces.piece(random) for _ in range(MEASURED)]
    sources, _, truths = (torch.stack(each).float() / 255 for each in zip(*found, strict=True))
    return sources, truths


@torch.no_grad()
def measure(network: Chain, sets: HeldOut, backbone: Backbone) -> dict[str, float]:
    """Computes for each kind of source what is gained over bicubic, in dB, and the perceptual distance beside
    bicubic's. Poor sources are cleaned, clean ones are not."""
    device = next(network.parameters()).device
    figures: dict[str, float] = {}
    for kind, pair in sets.items():
        sources, truths = (each.to(device) for each in pair)
        result = network(sources, torch.full((1,), float(kind == "poor"), device=device))[1].clamp(0, 1)
        plain_result = bicubic(sources)
        gains = [psnr(*each) for each in zip(result[:, None], truths[:, None], strict=True)]
        plain_gains = [psnr(*each) for each in zip(plain_result[:, None], truths[:, None], strict=True)]
        figures[f"{kind}, dB"] = statistics.mean(gains) - statistics.mean(plain_gains)
        wanted = backbone(truths)
        figures[f"{kind}, looks"] = float(distance(backbone(result), wanted))
        figures[f"{kind}, looks of bicubic"] = float(distance(backbone(plain_result), wanted))
    return figures


if __name__ == "__main__":
    main()
