"""How much memory the GPU gives: whether plans say what is used, and what happens when little is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from upscaler.pipeline import Pipeline

from .material import Pixels, differences, photograph, x4plus
from .run import Run

GIB = 2**30
MARGIN = 1.2
"""What is used is to be at most so many times what was planned."""


def check_memory(run: Run) -> None:
    """The plan of x4plus against what it takes, with a card that is nearly full, and after it is closed."""
    source, network = photograph(run), x4plus(run)
    free = _free(run)
    pipeline = network.pipeline(run)
    expected = pipeline.run(source).pixels
    planned = pipeline.estimate(source).memory
    used = run.peak(lambda: pipeline.run(source))
    run.say("GiB planned for tiles", planned / GIB)
    run.say("GiB used for tiles", used / GIB, right=used <= MARGIN * planned)
    corner = np.ascontiguousarray(source[:128, :128])
    expected_corner = pipeline.run(corner).pixels
    for left, pixels, right, levels in (
        (6.0, source, expected, 1),
        (2.0, source, expected, 1),
        (0.5, corner, expected_corner, 5),  # it may have to go on on the CPU, in float32
    ):
        with _left(run, int(left * GIB)):
            run.attempt(
                f"{left} GiB left, {pixels.shape[1]}x{pixels.shape[0]}: difference, seconds",
                lambda pixels=pixels, right=right, levels=levels: _compare(pipeline, pixels, right, levels),
            )
    pipeline.close()
    kept = (free - _free(run)) / GIB
    run.say("GiB that are kept after closing", kept, "kernels that were loaded stay", right=kept < 1)
    _check_vae(run)


def _check_vae(run: Run) -> None:
    """G4: a VAE whose tile does not fit computes it in halves."""
    from diffusion import autoencoder

    from upscaler.diffusion.vae import decode

    widths, side, tile = ((8,) * 4, 16, 12) if run.dry else ((128, 256, 512, 512), 192, 128)
    vae = autoencoder(widths, 0.13025, run.dry).to(run.device, torch.float32 if run.dry else torch.bfloat16).eval()
    torch.manual_seed(0)
    latents = torch.randn(1, 4, side, side)

    def work() -> str:
        return f"{sum(len(band.pixels) for band in decode(vae, latents, tile=tile))} rows"

    work()
    peak = run.peak(work)
    for share in (0.8, 0.5):
        with _limited(run, int(torch.cuda.memory_allocated() + peak * share) if not run.dry else 0):
            run.attempt(f"G4, a VAE with {share} of the memory it takes", work)


def _compare(pipeline: Pipeline, pixels: Pixels, right: Pixels, allowed: int) -> str:
    """Enlarges a picture, and says how it differs from the right result. More than the allowed levels are an error."""
    start = time.perf_counter()
    levels = int(differences(pipeline.run(pixels).pixels, right).max())
    if levels > allowed:
        raise AssertionError(f"{levels} levels")
    return f"{levels} levels, {time.perf_counter() - start:.1f} s"


def _free(run: Run) -> int:
    if run.dry:
        return 0
    torch.cuda.empty_cache()
    return int(torch.cuda.mem_get_info()[0])


@contextmanager
def _left(run: Run, count: int) -> Iterator[None]:
    """Takes all of the card's memory but `count` bytes, as another program would."""
    hog = None if run.dry else torch.empty(max(_free(run) - count, 0), dtype=torch.uint8, device=run.device)
    try:
        yield
    finally:
        del hog
        _free(run)


@contextmanager
def _limited(run: Run, count: int) -> Iterator[None]:
    """Lets this process use so many bytes of the card."""
    if run.dry:
        yield
        return
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(count / torch.cuda.mem_get_info()[1], 1.0), 0)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
