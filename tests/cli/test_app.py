"""The command line as a whole: start-up, help, exit codes, closed and full streams."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, sizes
from upscaler.errors import DeviceLost, EngineError, ModelError, PlanError

unix = pytest.mark.skipif(sys.platform == "win32", reason="needs a Unix shell")


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-X", "importtime", "-m", "upscaler", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"torch", "numpy", "pyvips", "cv2", "spandrel", "PIL"}
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_no_arguments_are_wrong_usage_and_bring_help(run: Run) -> None:
    done = run()
    assert done.code == 2
    assert b"upscaler photo.jpg" in done.out


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (PlanError("x: wrong."), 2, "error: x: wrong.\n"),
        (ModelError("x: broken."), 1, "error: x: broken.\n"),
        (EngineError("x: failed."), 1, "error: x: failed.\n"),
        (DeviceLost("cuda:0 is lost."), 1, "error: cuda:0 is lost.\n"),
        (
            MemoryError(),
            1,
            "error: upscaler: there is not enough memory. Close other programs, or allow less with --memory.\n",
        ),
        (PermissionError(13, "Permission denied", "x"), 1, "error: x: Permission denied.\n"),
        (
            KeyError("k"),
            1,
            "error: upscaler: a fault in this program ended the work (KeyError: 'k'). Nothing was written for it, and "
            "finished pictures stay as they are. Run it again with --verbose, and report what is said then.\n",
        ),
    ],
)
def test_whatever_is_raised_is_one_sentence(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, sentence: str
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr("upscaler.cli.files.make_files", failing)
    done = run("a.jpg", "-m", "lanczos")
    assert (done.code, done.out, done.err) == (code, b"", sentence)


def test_verbose_shows_where_the_unexpected_happened(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upscaler.cli.files.make_files", lambda *_: {}["k"])
    done = run("a.jpg", "-m", "lanczos", "-v")
    assert "Traceback" in done.err
    assert "test_app.py" in done.err


@unix
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("upscaler a.jpg -m lanczos 2>&- && test -s a_4x.jpg", 0, ""),
        ("upscaler a.jpg -m lanczos <&- >&- 2>&-", 0, ""),
        ("upscaler - -m lanczos -o x.png <&-", 1, "error: standard input is closed."),
        ("upscaler a.jpg -m lanczos -o - >&-", 1, "error: standard output is closed."),
        (
            "upscaler a.jpg -m lanczos -o - | true; exit ${PIPESTATUS[0]}",
            1,
            "error: standard output cannot be written",
        ),
        ("upscaler --help | true; exit ${PIPESTATUS[0]}", 1, ""),
        ("upscaler --version >/dev/full", 1, "error: standard output cannot be written (No space left on device)."),
        ("upscaler a.jpg -m lanczos -o - >/dev/full", 1, "error: standard output cannot be written (No space left"),
        (
            "mkfifo f.jpg && upscaler f.jpg -m lanczos",
            1,
            "error: f.jpg: is a pipe or a device, not a file.",
        ),
    ],
)
def test_streams_and_pipes_that_fail_are_said(here: Path, command: str, code: int, said: str) -> None:
    if "/dev/full" in command and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    command = command.replace("upscaler ", f"{sys.executable} -m upscaler ")
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[: len(said)]) == (code, said)
    assert len(done.stderr.splitlines()) <= 1


@unix
def test_closed_standard_error_does_not_end_up_in_the_picture(here: Path) -> None:
    command = f"{sys.executable} -m upscaler a.jpg b.png -m lanczos -v -o out >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], check=False).returncode == 0
    assert sizes(here / "out") == {"a.jpg": (240, 160), "b.png": (240, 160)}
