"""Diffusion models from the command line: options, sentences, and nothing left behind when they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "source.png"
    path.parent.mkdir()
    Image.radial_gradient("L").resize((40, 30)).convert("RGB").save(path)
    return path


def test_a_picture_is_enlarged_by_a_folder_of_a_pipeline(run: Run, x4: Path, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "large.png"
    options = ("--steps", "2", "--prompt", "a cat", "--creativity", "0.5", "--seed", "3", "--memory", "2GB")
    done = run(source, "-m", x4, "-o", output, "--device", "cpu", *options)
    assert (done.code, Image.open(output).size) == (0, (160, 120)), done.err


def test_a_dry_run_says_steps_and_windows(run: Run, x4: Path, source: Path) -> None:
    done = run(source, "-m", x4, "--device", "cpu", "--steps", "7", "-s", "8", "--dry-run")
    assert done.code == 0, done.err
    assert "tiny-x4 on cpu" in done.out.decode()
    assert "7 steps of 1 window of " in done.out.decode()


@pytest.mark.parametrize(("option", "value", "other"), [("--prompt", "a cat", "a dog"), ("--tile", "256", "512")])
def test_a_folder_is_made_again_when_the_prompt_or_the_tile_changes(
    run: Run, x4: Path, source: Path, tmp_path: Path, option: str, value: str, other: str
) -> None:
    made = []
    for chosen in (value, value, other):
        options = ("-m", x4, "--device", "cpu", "--steps", "1", option, chosen)
        done = run(source.parent, "-o", tmp_path / "out", *options)
        assert done.code == 0, done.err
        made.append("160x120" in done.err)
    assert made == [True, False, True]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--creativity", "2"), 2, "--creativity 2: the value must be between 0 and 1"),
        (("--memory", "much"), 2, "--memory much: not an amount of memory"),
        (("--memory", "1MB"), 2, "GB are needed on cpu"),
        (("--blend", "0.5"), 2, "only networks can be blended. Use --creativity"),
        (("--control", "sd-x4"), 2, "enlarges by itself and takes no ControlNet"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    run: Run, x4: Path, source: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    done = run(source, "-m", x4, "--device", "cpu", *options)
    assert done.code == code, done.err
    assert words in done.err
    assert "Traceback" not in done.err
    assert [path.name for path in source.parent.iterdir()] == ["source.png"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_killed_at_a_step_leaves_nothing_behind(x4: Path, source: Path, number: signal.Signals) -> None:
    options = ["-m", str(x4), "--device", "cpu", "--steps", "900", "--progress"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(source.parent)}
    command = [sys.executable, "-m", "upscaler", str(source), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        said, deadline = b"", time.monotonic() + 120
        while b"of 900" not in said and process.poll() is None and time.monotonic() < deadline:
            said += process.stderr.read() or b""
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(60)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL), said
    assert [path.name for path in source.parent.iterdir()] == ["source.png"]
