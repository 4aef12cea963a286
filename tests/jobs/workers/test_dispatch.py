"""Workers on this machine: the same bytes as without them, whoever is killed, and nobody left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.work import alone, command, customized, parts, pictures, tree
from upscaler import Target, Upscaler
from upscaler.codecs import EncodeOptions
from upscaler.inputs.discover import find_jobs
from upscaler.jobs.batch import run
from upscaler.jobs.manifest import FOLDER
from upscaler.jobs.outcome import Outcome
from upscaler.jobs.workers.messages import WorkerOptions
from upscaler.pipeline import Pipeline

TWO = ("cpu", "cpu")

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job(model: str = "lanczos", scale: float = 2) -> list[Outcome]:
    """in/ to out/, with two workers."""
    return list(Upscaler(model).batch("in", "out", scale=scale, devices=TWO))


def kind(outcome: Outcome) -> str:
    return "failed" if outcome.error else "kept" if outcome.was_done else "made"


def rows() -> list[str]:
    with sqlite3.connect(f"out/{FOLDER}/manifest.sqlite") as database:
        return [output for (output,) in database.execute("SELECT output FROM pictures")]


def test_workers_make_the_same_files_and_report_the_same_failures(here: Path) -> None:
    pictures(here / "in", 30)
    outcomes = job()
    assert sorted(map(kind, outcomes)) == ["failed", *["made"] * 30]
    (bad,) = (outcome for outcome in outcomes if outcome.error)
    assert str(bad.error).startswith(f"{Path('in/bad.png')}: the file is ")
    assert all(
        outcome.size and outcome.seconds and outcome.lr_rmse is not None for outcome in outcomes if outcome != bad
    )
    assert tree(here / "out") == alone(here / "in", here / "right")
    assert (parts(here), multiprocessing.active_children()) == ([], [])
    again = job()
    assert sorted(map(kind, again)) == ["failed", *["kept"] * 30]
    assert multiprocessing.active_children() == []


def test_workers_with_a_network_make_the_same_files(here: Path) -> None:
    pictures(here / "in", 4, side=40)
    assert [kind(outcome) for outcome in job("faithful", 4)].count("made") == 4
    assert tree(here / "out") == alone(here / "in", here / "right", "faithful", 4)


def test_results_without_an_output_folder_are_written_beside_their_sources(here: Path) -> None:
    pictures(here / "in", 4)
    found = find_jobs(["in"], None, EncodeOptions(), "_2x")
    outcomes = list(run(Pipeline("lanczos"), found.jobs, Target(scale=2), workers=WorkerOptions(TWO)))
    assert sorted(map(kind, outcomes)) == ["failed", *["made"] * 4]
    assert (here / "in/0_2x.png").is_file()
    assert parts(here) == []


@needs_signals
def test_pictures_of_a_killed_worker_are_made_by_others_once(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    pictures(here / "in", 60)
    outcomes: list[Outcome] = []
    for outcome in Upscaler("lanczos").batch("in", "out", scale=2, devices=TWO):
        outcomes.append(outcome)
        if len(outcomes) in (5, 20):
            os.kill(int(multiprocessing.active_children()[0].pid or 0), signal.SIGKILL)
    assert sorted(map(kind, outcomes)) == ["failed", *["made"] * 60]
    assert len({outcome.source for outcome in outcomes}) == len(outcomes) == len(rows())
    assert tree(here / "out") == alone(here / "in", here / "right")
    assert "a worker was lost (it was ended by SIGKILL" in caplog.text
    assert parts(here) == []


DEADLY = """
import os, signal, sys
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith("deadly.png"):
        os.kill(os.getpid(), signal.SIGKILL)
if "spawn_main" in " ".join(sys.orig_argv):
    sys.addaudithook(hook)
"""


@needs_signals
def test_picture_that_kills_its_workers_is_a_failure_that_says_so(here: Path) -> None:
    pictures(here / "in", 20)
    (here / "in/deep/deadly.png").write_bytes((here / "in/0.png").read_bytes())
    done = subprocess.run(command(), env=customized(here / "site", DEADLY), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    deadly = [line for line in done.stderr.splitlines() if "deadly" in line]
    assert deadly == [
        f"error: {Path('in/deep/deadly.png')}: two workers were lost while they were at this picture (it was ended by "
        "SIGKILL, as the system does when memory runs out). Try it alone, or allow less with --memory."
    ]
    assert "20 made, 2 failed; " in done.stderr
    (here / "in/deep/deadly.png").unlink()
    assert tree(here / "out") == alone(here / "in", here / "right")


BROKEN = """
import os, sys
if "spawn_main" in " ".join(sys.orig_argv):
    os._exit(7)
"""


def test_workers_that_cannot_begin_end_the_job(here: Path) -> None:
    pictures(here / "in", 3)
    done = subprocess.run(command(), env=customized(here / "site", BROKEN), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: all workers were lost, the last one 3 times in a row (it ended with code 7). "
        "Run the same command again to go on, or allow less with --memory."
    )


FULL = """
import errno, os, sys
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".part") and "deep" not in str(arguments[0]):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
if "spawn_main" in " ".join(sys.orig_argv):
    sys.addaudithook(hook)
"""


def test_full_disk_stops_the_job_with_a_sentence(here: Path) -> None:
    pictures(here / "in", 10)
    done = subprocess.run(command(), env=customized(here / "site", FULL), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"error: {Path('out')}")
    assert said.endswith("the disk is full. Make room, and run the same command again to go on.")
    assert parts(here) == []
    assert (
        subprocess.run(command(), capture_output=True, check=False, env=customized(here / "site", "")).returncode == 1
    )
    assert tree(here / "out") == alone(here / "in", here / "right")


LOST = """
import sys
if "spawn_main" in " ".join(sys.orig_argv):
    import os
    from upscaler.errors import DeviceLost
    from upscaler.engines.resample import ResampleEngine
    from upscaler.jobs.workers import processes
    run, serve = ResampleEngine.run, processes.serve
    def lost(self, tiles):
        if os.environ["BROKEN"] in ("all", str(broken)):
            raise DeviceLost("cuda:0 is lost to this process (CUDA error). Run it again.")
        return run(self, tiles)
    def named(stages, *rest):
        global broken
        broken = stages.pipeline.options.device == "cpu" and not os.path.exists("taken")
        if broken: open("taken", "x").close()
        serve(stages, *rest)
    ResampleEngine.run, processes.serve = lost, named
"""


@pytest.mark.parametrize("broken", ["True", "all"])
def test_a_lost_device_costs_its_worker_and_no_picture(here: Path, broken: str) -> None:
    """A worker with it takes more pictures than others, since it is done with them at once."""
    pictures(here / "in", 12)
    environment = {**customized(here / "site", LOST), "BROKEN": broken}
    done = subprocess.run(command(), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "a worker was lost (cuda:0 is lost to this process (CUDA error)). Others do what it had." in done.stderr
    if broken == "all":
        assert "error: all workers were lost, the last one 3 times in a row (cuda:0 is lost" in done.stderr
        assert "failed" not in done.stderr
    else:
        assert "12 made, 1 failed; " in done.stderr
        assert tree(here / "out") == alone(here / "in", here / "right")
    assert parts(here) == []
