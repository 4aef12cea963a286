"""Diffusion models from the command line on a pretended GPU, which is found without --device."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Run
from tests.diffusion import tiny
from tests.fake_gpu import FakeGPU, pretend
from upscaler import codecs
from upscaler.diffusion import memory, runner
from upscaler.diffusion.memory import OFFLOADS

pytestmark = pytest.mark.usefixtures("one_thread", "own_folder")

SOURCE = "source.png"


@pytest.fixture(params=OFFLOADS)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGPU]:
    """A GPU on which models are offloaded in this way."""
    own = memory.place

    def place(facts: Any, device: Any, *args: Any) -> Any:
        return replace(
            own(facts, device, *args), offload="none" if device.type == "cpu" else request.param, vae_tile=16
        )

    monkeypatch.setattr(runner, "place", place)
    Image.radial_gradient("L").resize((40, 30)).convert("RGB").save(SOURCE)
    with pretend(tf32=False) as gpu:
        yield gpu
        gc.collect()  # a command leaves its models to the end of the process, and to Python here
        assert (gpu.live, gpu.share) == (0, 1.0)


def make(run: Run, output: str, *options: str | Path) -> np.ndarray[Any, Any]:
    done = run(*options, "-o", output, "--precision", "fp32")
    assert done.code == 0, done.err
    return codecs.decode(output).pixels.astype(int)


@pytest.mark.parametrize("way", ["refine", "control", "folder"])
def test_diffusion_models_enlarge(run: Run, gpu: FakeGPU, x4: Path, model: Path, way: str) -> None:
    control = Path("tile")
    tiny.build_controlnet(tiny.build_sd().unet).save_pretrained(control)
    options: list[str | Path] = ["-m", x4 if way == "folder" else model, "--steps", "4", "-s", "2"]
    options += ["--control", control] if way == "control" else []
    source = SOURCE
    if way == "folder":
        Path("in").mkdir()
        Path(SOURCE).rename(f"in/{SOURCE}")
        source = f"in/{SOURCE}"
        done = run("in", "-o", "out", *options, "--precision", "fp32")
        assert done.code == 0, done.err
        found = codecs.decode(next(Path("out").glob("*.png"))).pixels.astype(int)
    else:
        found = make(run, "gpu.png", source, *options)
    assert gpu.peak > 0
    assert abs(found - make(run, "cpu.png", source, *options, "-d", "cpu")).max() <= 1


def test_a_picture_is_generated_enlarged_and_made_again(run: Run, gpu: FakeGPU, model: Path) -> None:
    size = ("--size", "72x64", "--steps", "1", "--seed", "5")
    options = ("generate", "a red circle", "-g", model, *size, "-s", "4", "-m", "photo-fast")
    found = make(run, "gpu.png", *options)
    assert gpu.peak > 0
    done = run("rerun", "gpu.png")
    assert done.code == 0, done.err
    assert "the same, pixel by pixel." in done.err
    assert abs(found - make(run, "cpu.png", *options, "-d", "cpu")).max() <= 1
