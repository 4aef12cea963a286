"""`upscaler doctor`: what is there, and what is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Run


def test_doctor_says_what_there_is_and_what_is_used(run: Run) -> None:
    done = run("doctor")
    text = done.out.decode()
    assert (done.code, done.err) == (0, "")
    for word in ("upscaler ", "Python ", "torch ", "device", "cpu", "used", "GiB free", "reads  JPEG PNG", "faithful"):
        assert word in text


def test_doctor_says_what_is_broken_and_goes_on(tmp_path: Path) -> None:
    for name in ("torch", "pyvips"):
        (tmp_path / f"{name}.py").write_text(f"raise OSError('lib{name}.so: cannot open shared object file')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "upscaler", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert [line.split(":")[2] for line in done.stderr.splitlines()] == [" libtorch.so", " libpyvips.so"]
    assert "faithful" in done.stdout


def test_a_library_that_needs_a_display_is_named_with_its_cure(tmp_path: Path, here: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for arguments in (["doctor"], ["a.jpg", "-m", "lanczos"]):
        command = [sys.executable, "-m", "upscaler", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 1
        assert "libGL.so.1" in done.stderr
        assert "pip install --force-reinstall --no-deps opencv-python-headless" in done.stderr
        assert "Traceback" not in done.stderr
