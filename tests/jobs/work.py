"""What the tests of workers share: a folder of pictures, what lies in a folder, processes to be killed."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from upscaler import Target
from upscaler.codecs import EncodeOptions
from upscaler.inputs.discover import find_jobs
from upscaler.jobs.batch import run
from upscaler.jobs.manifest import FOLDER
from upscaler.jobs.outcome import Outcome, SelectionRules
from upscaler.pipeline import Pipeline

ROOT = Path(__file__).parent.parent.parent

PATIENCE = 60.0


def pictures(folder: Path, count: int, side: int = 20) -> None:
    """Noise in `folder`, every other one in `folder`/deep; and a bad one."""
    (folder / "deep").mkdir(parents=True)
    for index in range(count):
        noise = np.random.default_rng(index).integers(0, 256, (side + index % 5, side, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{'deep/' * (index % 2)}{index}.png")
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n but no picture")


def tree(folder: Path) -> dict[str, str]:
    """The hash of every file, the manifest and its like left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and FOLDER not in path.parts
    }


def alone(source: Path, output: Path, model: str = "lanczos", scale: float = 2) -> dict[str, str]:
    """What one process makes of a folder."""
    found = find_jobs([str(source)], f"{output}/", EncodeOptions(), "")
    list(run(Pipeline(model), found.jobs, Target(scale=scale), folder=found.folder))
    return tree(output)


def parts(folder: Path) -> list[Path]:
    """What is left half-done anywhere below."""
    return [path for path in folder.rglob("*") if path.suffix == ".part"]


def until(is_so: Callable[[], object], seconds: float = PATIENCE) -> None:
    start = time.monotonic()
    while not is_so():
        assert time.monotonic() - start < seconds
        time.sleep(0.01)


def workers_of(pid: int) -> list[psutil.Process]:
    """The processes that do the work for that one."""
    return [child for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())]


def customized(folder: Path, code: str) -> dict[str, str]:
    """The environment in which every Python that starts runs `code` first."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(code)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def numbered_pictures(folder: Path) -> None:
    """Noise in in/0.png … in/5.jpg, every other one in in/deep; and in/bad.png."""
    (folder / "in/deep").mkdir(parents=True)
    for index in range(6):
        noise = np.random.default_rng(index).integers(0, 256, (12 + index, 20, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"in/{'deep/' * (index % 2)}{index}{'.jpg' if index > 3 else '.png'}")
    (folder / "in/bad.png").write_bytes(b"\x89PNG\r\n\x1a\n but no picture")


def run_numbered(
    upscaler: str = "lanczos", scale: float = 2, quality: int | None = None, **options: object
) -> dict[str, str]:
    """Runs the folder of `numbered_pictures`, in/, into out/: what became of each picture, by its name."""
    found = find_jobs(["in"], "out/", EncodeOptions(quality=quality, overwrite=bool(options.pop("overwrite", 0))), "")
    rules = SelectionRules(**options)  # type: ignore[arg-type]
    outcomes = run(Pipeline("lanczos"), found.jobs, Target(scale=scale), folder=found.folder, rules=rules)
    return {outcome.source.name: said(outcome) for outcome in outcomes}


def said(outcome: Outcome) -> str:
    return outcome.error or outcome.skipped or ("kept" if outcome.was_done else "made")


GOOD = ["0.png", "1.png", "2.png", "3.png", "4.jpg", "5.jpg"]

UPSCALER = [sys.executable, "-m", "upscaler"]


def command(*options: str) -> list[str]:
    """in/ to out/, with two workers."""
    return [*UPSCALER, "in", "-o", "out", "-m", "lanczos", "-s", "2", "--devices", "cpu,cpu", *options]
