"""`upscaler upscale --faces`: options, folders that are gone on with, reports and errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.faces.restorers import any_detector_file, toy_file
from tests.pictures import SAMPLES

__all__ = ["toy_file"]  # a fixture


@pytest.fixture(name="command")
def _command(toy: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Enlarges a folder of one picture with a face."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    shutil.copy(SAMPLES / "astronaut.jpg", "in")
    faces = ["--face-model", toy(), "--face-detector", str(any_detector_file())]
    return ["in", "-o", "out", "-m", "lanczos", "-s", "2", "-d", "cpu", *faces]


def test_folders_know_whether_faces_were_restored_and_reports_count_them(run: Run, command: list[str]) -> None:
    done = run(*command, "--report", "a.json", "-v")
    assert done.code == 0
    assert "is restored: it differs from its source by 0.00 of 255 levels" in done.err
    (row,) = json.loads(Path("a.json").read_text())
    assert (row["faces"], row["restored"]) == (1, 1)
    assert "1 done before" in run(*command).err
    assert "1 done before" not in run(*command, "--face-strength", "0.5").err
    assert "faces are looked for" in run(*command, "-o", "elsewhere", "--dry-run").out.decode()


def test_faces_of_a_folder_are_restored_by_several_processes(run: Run, command: list[str]) -> None:
    """Those know no network of a test, which is one sentence, and the only one."""
    done = run(*[option for option in command if option not in ("-d", "cpu")], "--devices", "cpu,cpu")
    assert done.code == 1
    assert "toy.safetensors: the file holds no network of a known architecture" in done.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--face-strength", "2"], "--face-strength 2.0: the value must be between 0 and 1."),
        (["--faces-only-below", "0"], "--faces-only-below 0: the value must be a whole number"),
        (["--face-model", "photo"], "--face-model photo: this model does not restore faces. Use gfpgan-1.4."),
        (["--face-model", "gfpgn"], "--face-model gfpgn: no model has this name"),
        (["--face-detector", "no.onnx"], "--face-detector no.onnx: no such file."),
        (["-m", "gfpgan"], "--model gfpgan-1.4: gfpgan-1.4 is for faces and does not enlarge. Enlarge by another one"),
    ],
)
def test_options_that_do_not_fit_are_named(run: Run, command: list[str], options: list[str], sentence: str) -> None:
    done = run(*command, *options)
    assert done.code == 2
    assert sentence in done.err


def test_nothing_is_fetched_against_the_will(run: Run, command: list[str]) -> None:
    done = run(*command[: command.index("--face-model")], "--faces", "--offline")
    assert done.code == 1
    assert "it is not on this machine, and fetching is forbidden" in done.err
