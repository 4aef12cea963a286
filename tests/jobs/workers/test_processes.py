"""Processes of this machine: they end with their job, however that ends, and leave nothing half done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.jobs.work import alone, command, customized, parts, pictures, tree, until, workers_of
from upscaler import PlanError, Upscaler
from upscaler.jobs.workers.processes import _share_machine

TWO = ("cpu", "cpu")

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finish_job() -> None:
    list(Upscaler("lanczos").batch("in", "out", scale=2, devices=TWO))


def test_what_suits_no_picture_ends_the_job(here: Path) -> None:
    pictures(here / "in", 3)
    with pytest.raises(PlanError, match="device=toaster: no such kind of device"):
        list(Upscaler("faithful").batch("in", "out", devices=["toaster"]))
    assert (parts(here), multiprocessing.active_children()) == ([], [])


def test_job_that_is_given_up_leaves_nobody(here: Path) -> None:
    pictures(here / "in", 30)
    outcomes = Upscaler("lanczos").batch("in", "out", scale=2, devices=TWO)
    next(iter(outcomes))
    outcomes.close()  # type: ignore[attr-defined]
    assert (parts(here), multiprocessing.active_children()) == ([], [])
    finish_job()
    assert tree(here / "out") == alone(here / "in", here / "right")


@needs_signals
@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "interrupted."), (signal.SIGTERM, 143, "terminated.")]
)
def test_interrupted_job_leaves_nobody_and_nothing_half_done(here: Path, number: int, code: int, said: str) -> None:
    """As from a keyboard, all processes of the group get the signal."""
    pictures(here / "in", 400)
    process = subprocess.Popen(
        command(), stderr=subprocess.PIPE, text=True, start_new_session=True, env=customized(here / "site", "")
    )
    until(lambda: len(tree(here / "out")) > 5)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(workers_of(process.pid)) == 2
    os.killpg(process.pid, number)
    _, errors = process.communicate()
    assert (process.returncode, errors.splitlines()[-1]) == (code, said)
    assert "Traceback" not in errors
    psutil.wait_procs(children, 10)
    assert [child for child in children if child.is_running()] == []
    assert parts(here) == []


@needs_signals
@pytest.mark.parametrize("points", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_job_whose_parent_is_killed_ends_in_the_same_bytes(here: Path, points: int) -> None:
    pictures(here / "in", 100)
    right = alone(here / "in", here / "right")
    for point in range(points):
        process = subprocess.Popen(command("-q"), stderr=subprocess.DEVNULL, env=customized(here / "site", ""))
        until(lambda start=point: len(tree(here / "out")) >= 1 + 100 * start // points)  # type: ignore[misc]
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        assert tree(here / "out").items() <= right.items()
        psutil.wait_procs(children, 10)
        assert [child for child in children if child.is_running()] == []
    finish_job()
    assert tree(here / "out") == right
    assert parts(here) == []


@pytest.mark.parametrize(
    ("devices", "share"), [(["cuda:0", "cuda:1"], 2), (["cpu"], 1), (["cuda:0", "cuda:0", "cpu", "cuda:1"], 4)]
)
def test_workers_share_the_processors_whatever_computes(
    devices: list[str], share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(16), raising=False)
    environment = _share_machine(devices)
    assert environment["OMP_NUM_THREADS"] == environment["OPENCV_FOR_THREADS_NUM"] == str(16 // share)
    assert environment["UPSCALER_WORKERS"] == ",".join(devices)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert _share_machine(devices)["OPENCV_FOR_THREADS_NUM"] == "3", "what the user says counts"


COUNTING = """
import sys
if "spawn_main" in " ".join(sys.orig_argv):
    from upscaler.engines.resample import ResampleEngine
    run = ResampleEngine.run
    def counting(self, tiles):
        import cv2, os, torch
        with open(f"threads-{os.getpid()}", "w") as file:
            file.write(f"{torch.get_num_threads()} {cv2.getNumThreads()}")
        return run(self, tiles)
    ResampleEngine.run = counting
"""


def test_torch_and_opencv_heed_it(here: Path) -> None:
    pictures(here / "in", 8)
    environment = {**customized(here / "site", COUNTING)}
    environment.pop("OMP_NUM_THREADS", None)
    subprocess.run(command("--devices", "cpu,cpu,cpu,cpu"), env=environment, capture_output=True, check=False)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = {file.read_text() for file in here.glob("threads-*")}
    assert found == {f"{max(processors // 4, 1)} {max(processors // 4, 1)}"}
