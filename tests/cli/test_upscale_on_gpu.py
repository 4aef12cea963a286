"""`upscaler upscale` where there is a GPU, which is a pretended one: it is taken without an option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.fake_gpu import pretend
from tests.networks import tiny_compact
from tests.pictures import sample

from .conftest import Run

PIXELS = np.rint(sample("astronaut.jpg")[40:112, 70:154] * 255).astype(np.uint8)


def test_the_command_line_takes_the_gpu_and_says_so(run: Run, here: Path) -> None:
    network = tiny_compact(here)
    Image.fromarray(PIXELS[:, :, [0, 1, 2, 1]]).save("a.png")
    Image.fromarray(PIXELS).save("b.jpg")
    with pretend("cuda") as gpu:
        done = run("a.png", "b.jpg", "-o", "out/", "-m", network, "-s", "1.5", "--tile", "48", "-v")
        assert (done.code, done.out) == (0, b"")
        assert "on cuda:0, fp16 by torch; 1 pass: " in done.err
        assert gpu.crossings
        planned = run("a.png", "-m", network, "--dry-run")
        assert b"on cuda:0, fp16 by torch; 1 pass: 1 tile of 100x88" in planned.out


def test_a_lost_gpu_ends_a_job_with_one_sentence(run: Run, here: Path) -> None:
    network = tiny_compact(here)
    Path("in").mkdir()
    for index in range(4):
        Image.fromarray(PIXELS[: 48 + index]).save(f"in/{index}.png")
    calls = []
    with pretend("cuda") as gpu:

        def lose(name: str, tensors: list[torch.Tensor]) -> None:
            calls.append(name)
            if calls.count("pixel_shuffle") == 4:  # one is a trial, the others are pictures
                gpu.lose()
                gpu._check()

        gpu.before = lose
        done = run("in", "-o", "out", "-m", network)
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last.startswith("error: cuda:0 is lost to this process (CUDA error: unspecified launch failure). Run the ")
    assert not [line for line in done.err.splitlines()[:-1] if line.startswith("error")]
