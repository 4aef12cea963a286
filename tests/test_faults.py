"""Disks that are full or broken, at every single call that writes: nothing half-made, one sentence, and a next run that
ends as if nothing had been."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import faults
from tests.codecs.checks import WRITTEN

KINDS = (*WRITTEN, "png16", "folder")


def fail_calls(folder: Path, kind: str, step: int) -> None:
    environment = faults.environment(folder)
    if environment is None:
        pytest.skip("calls of the C library cannot be made to fail without a compiler, and elsewhere than on Linux")
    (folder / "work").mkdir()
    command = [sys.executable, "-m", "tests.faults", kind, str(step)]
    done = subprocess.run(
        command, cwd=folder / "work", env=environment, capture_output=True, text=True, timeout=1800, check=True
    )
    *wrong, counts = done.stdout.splitlines()
    assert wrong == []
    assert int(counts.split()[0]) >= 10, counts


@pytest.mark.parametrize(("kind", "step"), [("png", 8), ("webp", 8), ("folder", 48)])
def test_a_call_that_fails_leaves_nothing_half_made(tmp_path: Path, kind: str, step: int) -> None:
    fail_calls(tmp_path, kind, step)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_any_call_that_fails_leaves_nothing_half_made(tmp_path: Path, kind: str) -> None:
    fail_calls(tmp_path, kind, 1)


def test_a_call_that_is_to_fail_fails(tmp_path: Path) -> None:
    environment = faults.environment(tmp_path)
    if environment is None:
        pytest.skip("calls of the C library cannot be made to fail here")
    program = f"""
from tests.faults import library
library().faults_arm(2, 28, {faults.ONCE})
file = open("file", "wb", 0)
try:
    file.write(bytes(9))
except OSError as error:
    print(error.strerror, library().faults_failed().decode(), library().faults_count())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "No space left on device write 2\n"
