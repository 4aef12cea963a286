"""Trains the embedded generator on drawn scenes: `python -m training.generator autoencoder`, then `… denoiser`, and
perhaps `… decoder`. See README.md.

Each can be stopped at any time and goes on where it was. What they write is a folder that diffusers loads.
"""

from __future__ import annotations

import argparse
import math
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerFast

from upscaler.arrays import PixelArray

from .descent import Descent, quick
from .pipeline import CELL, LONGEST, SIDE, Heeding, autoencoder, pipeline, scheduler, tokenizer, write
from .world import scene

SAVE_EVERY = 300.0
"""Seconds: what a crash costs at most."""
PIECES = 16
"""Quarters of pictures in a batch of the autoencoder's: a quarter of a second of two cores."""
POOL = 512
"""Pictures that they are of; two are replaced at each step, so that each is seen some sixty times."""
BATCH = 64
"""Pictures in a batch of the denoiser's."""
FRESH = 4
"""Pictures that are drawn at each step: more take the time from learning."""
FIRST = 2048
"""Pictures that it begins with."""
STRAY = 0.15
"""How often a caption is given a word that is not known, so that such words come to mean nothing."""
MOST = 32768
"""Pictures, as latents, of which it learns: 800 MB."""
PROMPTS = (
    "a red circle on a blue ground",
    "a small green star on a yellow ground",
    "a purple heart on the left",
    "a yellow square and a black triangle on a white ground",
    "a red house on green hills",
    "a white boat on the sea at night",
    "a tree on the right in a meadow in the rain, watercolour",
    "three red flowers in a meadow",
    "a lighthouse at sunset, oil on canvas",
    "a smiling face with brown hair",
    "a blue house in the snow, ink drawing",
    "the sea at sunset, photograph",
)
"""Of the samples."""


class Scenes(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """Endless pictures, uint8 (3, SIDE, SIDE), or their latents, with the numbers of their words, (LONGEST,)."""

    def __init__(self, coder: Any = None) -> None:
        """Takes with `coder` the autoencoder whose latents are wanted."""
        self._words = tokenizer()
        self._coder = coder

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        worker = get_worker_info()
        random = np.random.default_rng(worker.seed if worker else 0)
        cv2.setNumThreads(1)
        while True:
            drawn = scene(SIDE, random)
            caption = drawn.caption.split()
            while random.random() < STRAY:
                caption.insert(int(random.integers(len(caption) + 1)), self._words.unk_token)
            picture = torch.from_numpy(drawn.picture).permute(2, 0, 1)
            seen = picture if self._coder is None else latents(self._coder, picture[None])[0]
            yield seen, numbers(self._words, [" ".join(caption)])[0]


@torch.no_grad()
def latents(coder: Any, pictures: torch.Tensor) -> torch.Tensor:
    """Returns pictures as the denoiser sees them: (count, CHANNELS, SIDE / CELL, SIDE / CELL)."""
    with quick():
        pictures = (pictures.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        found: torch.Tensor = coder.encoder(pictures).float() * coder.config.scaling_factor
    return found


def numbers(words: PreTrainedTokenizerFast, captions: list[str]) -> torch.Tensor:
    """Returns the numbers of the words of captions: int64, (count, LONGEST)."""
    found: torch.Tensor = words(
        captions, padding="max_length", max_length=LONGEST, truncation=True, return_tensors="pt"
    ).input_ids
    return found


class Training:
    """What both parts have in common: a folder with a checkpoint, and a schedule in minutes."""

    def __init__(self, folder: Path, descent: Descent) -> None:
        """Goes on from the checkpoint there if there is one."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "checkpoint.pt"
        self._descent = descent
        self._seconds = 0.0
        self._loss = 0.0
        if self._file.exists():
            state = torch.load(self._file, weights_only=True)
            descent.load(state["descent"])
            self._seconds, self._loss = state["seconds"], state["loss"]

    def run(self, learn: Callable[[float], float], save: Callable[[], None], minutes: float, steps: int) -> None:
        """Calls `learn` with the share of the schedule that is done, and now and then `save`."""
        begun, saved = time.monotonic() - self._seconds, time.monotonic()
        try:
            while (progress := max(self._seconds / (60 * minutes), self._descent.steps / steps)) < 1:
                self._loss += max(0.01, 1 / (self._descent.steps + 1)) * (learn(progress) - self._loss)
                self._seconds = time.monotonic() - begun
                if time.monotonic() - saved > SAVE_EVERY:
                    self._save(save)
                    saved = time.monotonic()
        except KeyboardInterrupt:
            print("interrupted")
        self._save(save)

    def _save(self, save: Callable[[], None]) -> None:
        state = {"descent": self._descent.state(), "seconds": self._seconds, "loss": self._loss}
        torch.save(state, self._file.with_suffix(".new"))
        self._file.with_suffix(".new").replace(self._file)
        save()
        steps, rate = self._descent.steps, self._descent.rate
        print(f"step {steps}, {self._seconds:.0f} s, rate {rate:.2e}, loss {self._loss:.5f}", flush=True)


def train_autoencoder(out: Path, minutes: float, steps: int, workers: int, only_decoder: bool = False) -> None:
    """Trains on pieces of pictures, a quarter of each. The decoder alone can go on learning when the denoiser has
    learned from the latents, which then stay as they are."""
    piece, fresh = SIDE // 2, 2
    coder: Any = AutoencoderTiny.from_pretrained(out / "vae") if only_decoder else autoencoder()
    coder.encoder.requires_grad_(not only_decoder)
    descent = Descent(coder.to(memory_format=torch.channels_last), 1e-3, average=0.998)
    training = Training(out / ("decoder" if only_decoder else "autoencoder"), descent)
    new = _scenes(fresh, workers, descent.steps)
    pool = torch.cat([next(new)[0] for _ in range(POOL // fresh)])

    def part() -> torch.Tensor:
        which, top, left = (int(number) for number in torch.randint(2**31, (3,)))
        low, far = CELL * (top % (piece // CELL + 1)), CELL * (left % (piece // CELL + 1))
        return pool[which % POOL][:, low : low + piece, far : far + piece]

    def loss_of(pictures: torch.Tensor) -> torch.Tensor:
        with quick():
            latents = coder.encoder(2 * pictures - 1)
            # Noise of a tenth: what the denoiser errs by shall not be seen, and near pictures shall have near latents.
            noise = 0.1 * latents.detach().std() * torch.randn_like(latents)
            made = coder.decoder(latents + noise)
        error = (made.float() + 1) / 2 - pictures
        means, spread = latents.float().mean((0, 2, 3)), latents.float().var((0, 2, 3))
        even = (means**2).mean() + ((spread - 1) ** 2).mean()  # the noise that a denoiser begins with is as large
        # The means of cells count once more: whole grounds of a wrong tint are seen before any edge.
        loss: torch.Tensor = error.abs().mean() + functional.avg_pool2d(error, CELL).abs().mean() + 0.01 * even
        return loss

    def learn(progress: float) -> float:
        place = fresh * descent.steps % POOL
        pool[place : place + fresh] = next(new)[0]
        pieces = torch.stack([part() for _ in range(PIECES)]).float().div(255)
        return descent.step(loss_of, [pieces.contiguous(memory_format=torch.channels_last)], progress)

    def save() -> None:
        made: Any = autoencoder()
        made.load_state_dict(descent.average)
        with torch.no_grad():
            spread = made.encoder(pool[:64].float() / 127.5 - 1).std()
        kept = coder.config.scaling_factor if only_decoder else float(1 / spread)
        made.register_to_config(scaling_factor=kept)
        made.save_pretrained(out / "vae")
        _sample(made, pool[:12]).save(out / "autoencoder.png")
        if only_decoder:
            made.half().save_pretrained(out / "generator" / "vae")

    training.run(learn, save, minutes, steps)


@torch.no_grad()
def _sample(coder: Any, pictures: torch.Tensor) -> Image.Image:
    made = coder.decoder(coder.encoder(pictures.float() / 127.5 - 1)).add(1).mul(127.5).clamp(0, 255).round().byte()
    return _sheet([each.permute(1, 2, 0).numpy() for pair in zip(pictures, made, strict=True) for each in pair])


def _sheet(pictures: list[PixelArray], across: int = 4) -> Image.Image:
    rows = [np.concatenate(pictures[start : start + across], 1) for start in range(0, len(pictures), across)]
    return Image.fromarray(np.concatenate(rows))


def train_denoiser(out: Path, minutes: float, steps: int, workers: int) -> None:
    """Trains on the latents of pictures and their captions, with the autoencoder that is there."""
    words = tokenizer()
    coder: Any = AutoencoderTiny.from_pretrained(out / "vae")
    descent = Descent(Heeding(words), 8e-4, warmup=300)
    training = Training(out / "denoiser", descent)
    empty = numbers(words, [""])[0]
    schedule = scheduler().alphas_cumprod
    new = _scenes(FRESH, workers, descent.steps, coder)
    known = torch.empty(MOST, coder.config.latent_channels, SIDE // CELL, SIDE // CELL)
    ids = torch.empty(MOST, LONGEST, dtype=torch.int64)
    seen = 0

    def renew() -> None:
        nonlocal seen
        place = seen % MOST
        known[place : place + FRESH], ids[place : place + FRESH] = next(new)
        seen += FRESH

    def loss_of(chosen: torch.Tensor) -> torch.Tensor:
        clear, told = known[chosen], ids[chosen]
        told = torch.where(torch.rand(len(told), 1) < 0.1, empty, told)  # so that it can be guided away from no prompt
        times = torch.randint(1000, (len(clear),))
        signal_share = schedule[times][:, None, None, None]
        noise = torch.randn_like(clear)
        noisy = signal_share.sqrt() * clear + (1 - signal_share).sqrt() * noise
        wanted = signal_share.sqrt() * noise - (1 - signal_share).sqrt() * clear
        with quick():
            found = descent.module(noisy, times, told)
        # What is nearly clear already has little to teach: from a ratio of 4 on, less counts, as in Min-SNR (Hang et
        # al. 2023). That would have what is nearly all noise count less too, where it is settled what is drawn.
        share = (5 * (1 - signal_share)).clamp(max=1)
        loss: torch.Tensor = (share * functional.mse_loss(found.float(), wanted, reduction="none")).mean()
        return loss

    def learn(progress: float) -> float:
        renew()
        return descent.step(loss_of, [torch.randint(min(seen, MOST), (BATCH,))], progress)

    def save() -> None:
        heeding = Heeding(words)
        heeding.load_state_dict(descent.average)
        made = pipeline(coder, heeding.eval(), words)
        made.set_progress_bar_config(disable=True)
        dice = [torch.Generator().manual_seed(seed) for seed in range(len(PROMPTS))]
        drawn = made(list(PROMPTS), num_inference_steps=25, guidance_scale=4.0, generator=dice, output_type="np").images
        _sheet([(255 * each).round().astype(np.uint8) for each in drawn]).save(out / "denoiser.png")
        write(made, out / "generator")
        coder.float()

    while seen < FIRST:
        renew()
    training.run(learn, save, minutes, steps)


def _scenes(count: int, workers: int, seed: int, coder: Any = None) -> Iterator[list[torch.Tensor]]:
    """Returns so many at once, without end, drawn by other processes."""
    dice = torch.Generator().manual_seed(seed)
    return iter(DataLoader(Scenes(coder), batch_size=count, num_workers=workers, generator=dice))


def main() -> None:
    """Trains one of the parts until the steps or the minutes are used up, or until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("autoencoder", "denoiser", "decoder"))
    parser.add_argument("--out", type=Path, default=Path("build/training/scenes"))
    parser.add_argument("--minutes", type=float, default=math.inf, help="of the schedule, earlier runs counted")
    parser.add_argument("--steps", type=int, default=10**6, help="of the schedule, earlier runs counted")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` interrupts as control-C does
    parts: dict[str, Callable[[Path, float, int, int], None]] = {
        "autoencoder": train_autoencoder,
        "denoiser": train_denoiser,
        "decoder": partial(train_autoencoder, only_decoder=True),
    }
    parts[arguments.part](arguments.out, arguments.minutes, arguments.steps, arguments.workers)


if __name__ == "__main__":
    main()
