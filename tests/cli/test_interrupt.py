"""Ctrl-C and its like: no partial file, one line, the right exit code, wherever the program is."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.pictures import SAMPLES
from upscaler.cli import interrupt

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A picture that lanczos takes a second or two to enlarge 8 times."""
    file = tmp_path / "large.png"
    Image.open(SAMPLES / "astronaut.jpg").convert("RGB").resize((500, 400)).save(file)
    return file


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "upscaler", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


SIGNALS = pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "interrupted.\n"), (signal.SIGTERM, 143, "terminated.\n"), (signal.SIGKILL, -9, "")],
)


@SIGNALS
def test_signal_while_it_computes_leaves_no_file(
    tmp_path: Path, large: Path, number: int, code: int, said: str
) -> None:
    process = start(large, "-m", "lanczos", "-s", "8", "-o", tmp_path / "out/x.png", "-v")
    assert process.stderr is not None
    while " -> " not in process.stderr.readline():  # the plan's tiles come first
        assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (code, said)
    assert list(tmp_path.glob("out/*")) == []


@SIGNALS
def test_signal_while_it_writes_leaves_a_whole_file_or_none(
    tmp_path: Path, large: Path, number: int, code: int, said: str
) -> None:
    process = start(large, "-m", "lanczos", "-s", "8", "-o", tmp_path / "out/x.png")
    while process.poll() is None and not list(tmp_path.glob("out/*.part")):
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate()
    left = [path.name for path in tmp_path.glob("out/*") if path.suffix != ".part" or number != signal.SIGKILL]
    if left == ["x.png"]:
        assert process.returncode in (0, code)
        assert Image.open(tmp_path / "out/x.png").convert("L").size == (4000, 3200)
    else:
        assert (process.returncode, errors, left) == (code, said, [])


@pytest.mark.parametrize("module", ["typer", "numpy", "torch.version"])
def test_interruption_during_start_up_is_one_line(large: Path, module: str) -> None:
    """Python says on standard error what it has imported: then it is interrupted."""
    command = [sys.executable, "-X", "importtime", "-m", "upscaler", str(large), "--backend", "torch"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while process.stderr.readline().split("|")[-1].strip() != module:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    said = [line for line in errors.splitlines() if not line.startswith("import time:")]
    assert (process.returncode, said) == (130, ["interrupted."])


def test_interruption_that_a_callback_swallows_comes_again() -> None:
    class Callback:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    interrupt.install()
    with pytest.raises(interrupt.Interrupted):  # noqa: PT012
        Callback()
        time.sleep(5)


def test_second_signal_does_not_cut_unwinding_short() -> None:
    interrupt.install()
    with pytest.raises(interrupt.Interrupted):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)


def test_interruption_leaves_no_lock_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anywhere in `Condition.__enter__` it would: within a few rounds."""
    monkeypatch.setattr(interrupt, "REPEAT_WINDOW", 0)
    interrupt.install()
    for delay in range(40):
        condition = threading.Condition(threading.Lock())
        timer = threading.Timer(0.001 + 0.0001 * delay, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        with pytest.raises(interrupt.Interrupted):  # noqa: PT012
            while True:
                with condition:
                    pass
        assert condition.acquire(blocking=False)
        timer.join()


def test_interruption_comes_again_until_it_is_heeded() -> None:
    """One that arrives just before the main thread begins to wait is lost, as the first is here that comes again."""
    interrupt.install()
    heed = signal.getsignal(signal.SIGTERM)
    exec("signal.raise_signal(signal.SIGTERM)", {"__name__": "threading", "signal": signal})
    lost: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: lost.append(number))
    while not lost:
        time.sleep(0.001)
    with pytest.raises(interrupt.Interrupted):  # noqa: PT012
        signal.signal(signal.SIGTERM, heed)
        queue.SimpleQueue[None]().get(timeout=20)


def test_interruption_ends_a_wait() -> None:
    interrupt.install()
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    with pytest.raises(interrupt.Interrupted):
        threading.Event().wait(60)
    timer.join()


def test_signal_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt.install()
    signal.raise_signal(signal.SIGHUP)


def test_watch_goes_on_with_what_arrives_until_it_is_interrupted(tmp_path: Path, large: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    process = start(
        folder, "-o", tmp_path / "out", "-m", "lanczos", "-s", "2", "--watch", "--report", tmp_path / "r.csv"
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith(f"watching {folder}")
    for name in ("one.png", "two.png"):
        Image.new("RGB", (40, 30)).save(folder / name)
        assert process.stderr.readline().startswith(str(tmp_path / "out" / name))
    (folder / "bad.png").write_bytes(b"\x89PNG but no picture")
    assert process.stderr.readline().startswith(f"error: {folder / 'bad.png'}: ")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.splitlines()[0].startswith("2 made, 1 failed; ")
    assert errors.splitlines()[-1] == "interrupted."
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "arguments", [["x.png", "-o", "out"], [".", "-o", "-"], [".", "--dry-run", "-o", "out"], ["."]]
)
def test_watch_is_from_folder_to_folder(tmp_path: Path, arguments: list[str]) -> None:
    process = start("--watch", *arguments)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.startswith("error: --watch works from folder to folder")
