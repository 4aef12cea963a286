"""`upscaler upscale` where there is a GPU, which is a pretended one: it is taken without an option."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
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


def test_manifest_and_report_say_what_computed(run: Run, here: Path) -> None:
    network = tiny_compact(here)
    Path("in").mkdir()
    Image.fromarray(PIXELS).save("in/a.png")
    with pretend("cuda"):
        assert run("in", "-o", "out/", "-m", network, "--report", "r.json").code == 0
    (row,) = json.loads(Path("r.json").read_text())
    assert (row["outcome"], row["device"], row["precision"]) == ("made", "cuda:0", "fp16")
    with closing(sqlite3.connect("out/.upscaler/manifest.sqlite")) as database:
        assert database.execute("SELECT device, precision FROM pictures").fetchall() == [("cuda:0", "fp16")]


def test_verbose_plans_say_how_much_is_computed_twice(run: Run, here: Path) -> None:
    network = tiny_compact(here)
    Image.fromarray(PIXELS).save("a.png")
    with pretend("cuda"):
        planned = run("a.png", "-m", network, "--dry-run", "-v", "--tile", "48")
    assert re.search(r"\d+ tiles of \d+x\d+ on 84x72: \d+\.\d % is computed twice", planned.err)


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
