"""One program's way through a schedule: it can be stopped at any time and goes on where it was.

What is learned, and what is measured and written at each saving, is left to the program.
"""

from __future__ import annotations

import csv
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .descent import Descent, Loss

SAVE_EVERY = 240.0
"""Seconds: what a crash costs at most."""

Batch = list[torch.Tensor]


class Sitting:
    """A descent, its clock and its folder.

    >>> sitting = Sitting(Descent(network, rate=1e-3), folder)
    >>> sitting.go(loss, lambda: pool.batch(16, 64), minutes=30, save=write_weights)
    """

    def __init__(self, descent: Descent, folder: Path) -> None:
        """Goes on from the folder's checkpoint if it has one, which may have been written on another device.

        Raises SystemExit, with a sentence, for a checkpoint of another network.
        """
        self.descent = descent
        self.seconds = 0.0
        self.loss = 0.0
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if self._checkpoint.exists():
            found = torch.load(self._checkpoint, weights_only=True, map_location="cpu")
            try:
                descent.load(found["descent"])
            except RuntimeError as error:
                message = f"{self._checkpoint}: is of another network. Name another folder with --out."
                raise SystemExit(message) from error
            self.seconds, self.loss = found["seconds"], found["loss"]
            print(f"{self._checkpoint}: goes on at step {descent.steps}", flush=True)

    @property
    def _checkpoint(self) -> Path:
        return self._folder / "checkpoint.pt"

    def go(
        self,
        loss: Loss,
        batch: Callable[[], Batch],
        minutes: float,
        save: Callable[[], dict[str, float]],
    ) -> None:
        """Learns until `minutes` are used up, earlier sittings counted, or until it is interrupted. `save` writes
        weights and returns figures for the log."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` interrupts as control-C does
        begun, saved = time.monotonic() - self.seconds, time.monotonic()
        try:
            while self.seconds < 60 * minutes:
                parts, progress = batch(), self.seconds / (60 * minutes)
                own = self.descent.step(loss, parts, progress)
                self.loss += max(0.01, 1 / self.descent.steps) * (own - self.loss)
                self.seconds = time.monotonic() - begun
                if time.monotonic() - saved > SAVE_EVERY:
                    self._save(save)
                    saved = time.monotonic()
        except KeyboardInterrupt:
            print("interrupted")
        self._save(save)

    def _save(self, save: Callable[[], dict[str, float]]) -> None:
        """Writes the checkpoint, and what the program writes, and a line of the log."""
        state: dict[str, Any] = {"descent": self.descent.state(), "seconds": self.seconds, "loss": self.loss}
        fresh = self._checkpoint.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self._checkpoint)
        row = {
            "step": str(self.descent.steps),
            "minutes": f"{self.seconds / 60:.1f}",
            "rate": f"{self.descent.rate:.2e}",
            "loss": f"{self.loss:.5f}",
            **{name: f"{figure:.3f}" for name, figure in save().items()},
        }
        log = self._folder / "log.csv"
        is_new = not log.exists()
        with log.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)
