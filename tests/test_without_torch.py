"""What needs no torch works without it and does not load it; what does says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscaler import machine

BLOCKED = ("torch", "torchvision", "spandrel", "diffusers", "transformers")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def start(folder: Path, *arguments: str, blocked: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a command; when `blocked`, as if torch and what needs it were not installed."""
    environment = dict(os.environ)
    if blocked:
        (folder / "blocked").mkdir(exist_ok=True)
        (folder / "blocked" / "sitecustomize.py").write_text(
            "import sys\n"
            "class Block:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            f"        if name.partition('.')[0] in {BLOCKED}:\n"
            "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
            "sys.meta_path.insert(0, Block())\n"
        )
        environment["PYTHONPATH"] = os.pathsep.join([str(folder / "blocked"), environment.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )


@pytest.mark.skipif(machine.has_driver(), reason="torch is asked whether it can use the GPU of this machine")
@pytest.mark.parametrize("inputs", [("a.png", "-o", "b.png"), (".", "-o", "out/")])
def test_a_command_with_the_default_model_loads_no_torch(picture: Path, inputs: tuple[str, ...]) -> None:
    done = start(picture.parent, "-X", "importtime", "-m", "upscaler", *inputs)
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "ncnn" in loaded
    assert loaded.isdisjoint(BLOCKED)


@pytest.mark.parametrize("model", ["photo", "photo-fast", "faithful", "art", "clean", "lanczos"])
def test_embedded_models_work_where_torch_is_not_installed(picture: Path, model: str) -> None:
    done = start(picture.parent, "-m", "upscaler", "a.png", "-o", "b.png", "-m", model, "--denoise", "0", blocked=True)
    assert done.returncode == 0, done.stderr
    assert (picture.parent / "b.png").exists()


def test_pairs_and_noisy_pictures_work_where_torch_is_not_installed(picture: Path) -> None:
    from tests.catalog.test_ncnn import TINY

    TINY["compact-2x"]().save(picture.parent)
    done = start(
        picture.parent, "-m", "upscaler", "a.png", "-o", "b.png", "-m", "net.param", "--fidelity", "1", blocked=True
    )
    assert "torch" not in done.stderr
    done = start(picture.parent, "-m", "upscaler", "a.png", "-o", "c.png", "--denoise", "1", blocked=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--backend", "torch"), "torch or spandrel cannot be loaded"),
        (("-m", "net.pth"), "torch"),
        (("--precision", "bf16"), "torch or spandrel cannot be loaded"),
    ],
)
def test_what_needs_torch_says_so_where_it_is_not_installed(
    picture: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (picture.parent / "net.pth").write_bytes(b"weights")
    done = start(picture.parent, "-m", "upscaler", "a.png", "-o", "b.png", *arguments, blocked=True)
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
