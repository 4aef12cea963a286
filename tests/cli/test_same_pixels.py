"""The command line makes the pictures that it has always made: those in data/commands, a level more or less.

See tests/commands.py, which makes them again when they are meant to be others.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.commands import DATA, Command, make_pictures, read
from upscaler import codecs

QUICK = [command for chain in read("quick.txt") for command in chain]

LEVEL = {"uint8": 1, "uint16": 257}
"""What processors may differ by: one of 255."""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "in"
    make_pictures(folder)
    return folder


@pytest.mark.parametrize("command", QUICK, ids=lambda command: command.arguments[-1])
def test_picture_is_the_recorded_one(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    shutil.copytree(pictures, tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    done = run(*command.arguments, "--device", "cpu")
    assert done.code == 0, done.err
    name = command.arguments[-1]
    made, recorded = codecs.decode(name).pixels, codecs.decode(DATA / name).pixels
    assert (made.shape, made.dtype) == (recorded.shape, recorded.dtype)
    assert np.abs(made.astype(int) - recorded.astype(int)).max() <= LEVEL[made.dtype.name]
