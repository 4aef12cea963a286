"""Mutated files of every kind that is read: each is read or refused, in bounded memory and time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import ROOT
from tests.fuzz import TARGETS

SEED = 1
KEPT = ROOT / "build/fuzz"
"""Where files are kept that were neither read nor refused."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is bounded here")
@pytest.mark.parametrize("target", TARGETS)
def test_mutated_files_are_read_or_refused(tmp_path: Path, target: str) -> None:
    command = [sys.executable, "-m", "tests.fuzz", target, "8", str(SEED)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != 1:
        KEPT.mkdir(parents=True, exist_ok=True)
        for file in (*tmp_path.glob("input*"), *tmp_path.glob(f"{target}-{SEED}-*")):
            shutil.copy(file, KEPT / f"{target}-{file.name}")
        pytest.fail(f"seed {SEED}, files in {KEPT}: {lines}\n{done.stderr[-3000:]}")
    assert int(lines[0].split()[0]) > 1
