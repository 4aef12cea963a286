"""Trains one of the embedded networks: `python -m training.train faithful --photos FOLDER`. See README.md.

It can be stopped at any time and goes on where it was. Beside its checkpoint it writes the weights as spandrel loads
them, a log and samples.
"""

from __future__ import annotations

import argparse
import csv
import math
import signal
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from .configs import CONFIGS, Config
from .data import Pair, Pieces, Pool, batches, labelled, measured, photo_folder, photographs
from .descent import Descent, has_bfloat16
from .losses import alike, bicubic, charbonnier, decibels, frequencies, halo, psnr
from .networks import ARCHITECTURES, Judge, averaged, start_from, weights

SAVE_EVERY = 240.0
"""Seconds: what a crash costs at most."""
SAMPLES = 4
"""Held-out photographs whose results are kept to be looked at."""

HeldOut = dict[str, dict[str, Pair]]
"""By the photograph's name and the kind of its source."""


def main() -> None:
    """Trains until the steps or the minutes are used up, or until it is interrupted."""
    arguments = _arguments()
    config = CONFIGS[arguments.name]
    if arguments.architecture:
        features, convolutions = (int(number) for number in arguments.size.split("x"))
        config = replace(config, architecture=arguments.architecture, features=features, convolutions=convolutions)
    if arguments.rate:
        config = replace(config, rate=arguments.rate)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` interrupts as control-C does
    run = Run(config, arguments.out or Path("build/training") / config.name, eager=arguments.eager)
    if arguments.start and run.step == 0:
        run.start_from(arguments.start)
    if config.lesson:
        pool = labelled(arguments.labelled, run.device)
    else:
        pieces = Pieces(photographs(arguments.photos, held_out=False), config.mixture, config.piece)
        pairs = batches(pieces, config.fresh, arguments.workers, seed=arguments.seed + run.step)
        pool = Pool.made(pairs, arguments.pool or config.pool, run.device)
    held_out = {file.stem: measured(file) for file in photographs(arguments.photos, held_out=True)}
    try:
        run.train(pool, held_out, arguments.steps, 60 * arguments.minutes)
    except KeyboardInterrupt:
        print("interrupted")
    run.save(held_out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CONFIGS)
    parser.add_argument(
        "--photos", type=photo_folder, required=True, help="a folder of .jpg and .png, as large as they come"
    )
    parser.add_argument("--out", type=Path, help="default: build/training/NAME; goes on from the checkpoint there")
    parser.add_argument("--start", type=Path, help="weights to begin with, as this program writes them")
    parser.add_argument("--seed", type=int, default=0, help="another turn with --start wants another, for new pieces")
    parser.add_argument("--labelled", type=Path, help="what training.label wrote; a lesson is of nothing else")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of the schedule, earlier runs counted")
    parser.add_argument("--steps", type=int, default=10**6, help="of the schedule, earlier runs counted")
    parser.add_argument("--rate", type=float, help="of learning, at its highest (default: the configuration's)")
    parser.add_argument("--workers", type=int, default=1, help="processes that make pairs; 12 or more for a GPU")
    parser.add_argument("--pool", type=int, help="pieces at hand; fewer than usual start sooner")
    parser.add_argument("--eager", action="store_true", help="do not compile: starts at once, needs no C++ compiler")
    parser.add_argument("--architecture", choices=ARCHITECTURES, help="another one, to compare")
    parser.add_argument("--size", default="64x16", help="of another architecture: features x convolutions")
    arguments = parser.parse_args()
    if CONFIGS[arguments.name].lesson and not arguments.labelled:
        parser.error(f"{arguments.name} learns from a teacher: --labelled is missing. Run training.label first.")
    return arguments


class Run:
    """The state of one training, and its folder."""

    def __init__(self, config: Config, folder: Path, *, eager: bool = False) -> None:
        """From the folder's checkpoint if it has one. `eager`: without compiling."""
        torch.manual_seed(0)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.config = config
        self.seconds = 0.0
        self.loss = 0.0
        self.network = ARCHITECTURES[config.architecture](config.features, config.convolutions)
        self.network.to(self.device).to(memory_format=torch.channels_last)
        self._descent = Descent(self.network, config.rate, warmup=config.warmup, average=config.average)
        self._judge = Judge(config.contest.features if config.contest else 1)
        self._judge.to(self.device).to(memory_format=torch.channels_last)
        self._judge_descent = Descent(self._judge, config.rate, warmup=config.warmup)
        self._begun: dict[str, torch.Tensor] = {}
        self._has_bfloat16 = has_bfloat16(self.device.type)
        # Compiled, a step takes 0.6 of the time on a CPU: what lies between convolutions becomes one pass. The judge
        # gets slower.
        self._compared = self._compare if eager else torch.compile(self._compare)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if self._checkpoint.exists():
            self._load()

    @property
    def step(self) -> int:
        """Steps done."""
        return self._descent.steps

    @property
    def _checkpoint(self) -> Path:
        return self._folder / "checkpoint.pt"

    def start_from(self, file: Path) -> None:
        """The weights of an earlier run, whose optimizer is lost."""
        start_from(self.network, load_file(file))
        self._descent.restart()
        self._begun = {name: value.clone() for name, value in self._descent.average.items()}

    def train(self, pool: Pool, held_out: HeldOut, steps: int, seconds: float) -> None:
        """Until the schedule is at its end, saving now and then."""
        begun, saved = time.monotonic() - self.seconds, time.monotonic()
        while (progress := max(self.step / steps, self.seconds / seconds)) < 1:
            self._learn(pool, progress)
            self.seconds = time.monotonic() - begun
            if time.monotonic() - saved > SAVE_EVERY:
                self.save(held_out)
                saved = time.monotonic()

    def _learn(self, pool: Pool, progress: float) -> None:
        pool.renew()
        batch = pool.batch(self.config.batch, self.config.side)
        if self.config.contest:
            self._judge.settle()
            self._judge_descent.step(self._judge_loss, batch, progress)
        loss = self._descent.step(self._loss, batch, progress)
        self.loss += max(0.01, 1 / self.step) * (loss - self.loss)

    def _loss(self, source: torch.Tensor, truth: torch.Tensor, *taught: torch.Tensor) -> torch.Tensor:
        """The network's: distance from the truth, from the teacher's result, and the judge's word."""
        result, loss = self._compared(source, truth)
        lesson, contest = self.config.lesson, self.config.contest
        if lesson:
            loss = lesson.truth * loss + lesson.taught * charbonnier(result, taught[0], lesson.colour)
        if contest:
            with self._quick():
                likeness = alike(self._judge.features(result), self._judge.features(taught[0]))
                verdict = self._judge(result)
            loss = loss + contest.alike * likeness
            loss = loss + contest.judged * functional.softplus(-verdict.float()).mean()
        return loss

    def _judge_loss(self, source: torch.Tensor, truth: torch.Tensor, *taught: torch.Tensor) -> torch.Tensor:
        """The judge's: truths are to be called real, results not."""
        with torch.no_grad():
            result = self._result(source)
        with self._quick():
            real, made = self._judge(truth), self._judge(result)
        return functional.softplus(-real.float()).mean() + functional.softplus(made.float()).mean()

    def _compare(self, source: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's result and its distance from the truth."""
        result = self._result(source)
        distance = charbonnier if self.config.lesson else decibels
        loss = distance(result, truth) + self.config.frequencies * frequencies(result, truth)
        if self.config.halo:
            loss = loss + self.config.halo * halo(result, truth)
        return result, loss

    def _quick(self) -> torch.autocast:
        """As `descent.quick`, which cannot ask about the processor inside of what is compiled."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._has_bfloat16)

    def _result(self, source: torch.Tensor) -> torch.Tensor:
        with self._quick():
            result: torch.Tensor = self.network(source)
        return result.float()

    @torch.no_grad()
    def save(self, held_out: HeldOut) -> None:
        """Writes the checkpoint, the averaged weights, a line of the log, and samples."""
        state = {"network": self._descent.state(), "seconds": self.seconds, "loss": self.loss}
        if self.config.contest:
            state |= {"judge": self._judge_descent.state(), "begun": self._begun}
        fresh = self._checkpoint.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self._checkpoint)
        network = averaged(self.network, self._written())
        save_file(weights(network), self._folder / f"{self.config.name}-x4.safetensors")
        self._log(self._measure(network, held_out))

    def _written(self) -> dict[str, torch.Tensor]:
        """The average; in a contest with a share of the weights that it was begun with."""
        contest = self.config.contest
        if not contest or not self._begun:
            return self._descent.average
        return {name: self._begun[name].lerp(value, contest.kept) for name, value in self._descent.average.items()}

    def _load(self) -> None:
        state = torch.load(self._checkpoint, weights_only=True, map_location=self.device)
        try:
            self._descent.load(state["network"])
        except RuntimeError as error:
            raise SystemExit(f"{self._checkpoint}: is of another network. Name another folder with --out.") from error
        if self.config.contest:
            self._judge_descent.load(state["judge"])
            self._begun = state["begun"]
        self.seconds, self.loss = state["seconds"], state["loss"]

    def _measure(self, network: nn.Module, held_out: HeldOut) -> dict[str, float]:
        """What is gained over bicubic, in dB, for each kind of source; writes the first few pictures.

        It is the median: drawings among the photographs gain ten times as much, and say nothing of the others.
        """
        gains: dict[str, list[float]] = {}
        for number, (name, sources) in enumerate(held_out.items()):
            for kind, pair in sources.items():
                source, truth = (each[None].to(self.device).float() / 255 for each in pair)
                with self._quick():
                    result = network(source).float().clamp(0, 1)
                gains.setdefault(kind, []).append(psnr(result, truth) - psnr(bicubic(source), truth))
                if number < SAMPLES:
                    strip = torch.cat([bicubic(source), result, truth], 3)[0]
                    levels = (255 * strip).round().byte().permute(1, 2, 0).cpu().numpy()
                    Image.fromarray(levels).save(self._folder / f"{name}-{kind}.png")
        return {kind: statistics.median(each) for kind, each in gains.items()}

    def _log(self, gains: dict[str, float]) -> None:
        rate = self._descent.rate
        row = {"step": self.step, "seconds": round(self.seconds), "rate": f"{rate:.2e}", "loss": f"{self.loss:.5f}"}
        row |= {f"{kind} gain, dB": f"{gain:.3f}" for kind, gain in gains.items()}
        file = self._folder / "log.csv"
        is_new = not file.exists()
        with file.open("a", newline="") as log:
            writer = csv.DictWriter(log, row)
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
