"""`upscaler upscale` with --devices and --cluster: who does the work is said, or refused, before any is done."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.cli.conftest import Run, sizes

L = ("-m", "lanczos", "-s", "2")


def test_folder_is_made_by_two_processes_and_reported(run: Run, here: Path) -> None:
    done = run(".", "-o", "out", *L, "--devices", "cpu, cpu", "--report", "job.csv")
    assert (done.code, done.out) == (0, b"")
    assert sizes(here / "out") == dict.fromkeys(("a.jpg", "b.png", "sub/d.webp"), (120, 80))
    assert done.err.splitlines()[-1].startswith("3 made, 1 skipped; ")
    with (here / "job.csv").open(newline="") as file:
        assert [row["outcome"] for row in csv.DictReader(file)] == ["made", "made", "made", "skipped"]
    again = run(".", "-o", "out", *L, "--devices", "all")
    assert "3 done before" in again.err


def test_what_workers_say_is_said(run: Run, here: Path) -> None:
    done = run("a.jpg", "b.png", "-o", "out", *L, "--devices", "cpu", "--verbose")
    assert done.code == 0
    assert " 60x40 -> out/a.jpg 120x80: Lanczos on cpu" in done.err.replace("lanczos", "Lanczos")


def test_dry_run_says_what_one_of_them_would_do(run: Run, here: Path) -> None:
    done = run(".", "-o", "out", *L, "--devices", "cpu,cpu", "--dry-run")
    assert (done.code, done.out.count(b" -> ")) == (0, 3)
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["a.jpg", "--devices", "cpu", "--device", "cpu"], "--device cpu: this is one device, and --devices says who"),
        (
            ["a.jpg", "--cluster", "local", "--device", "cpu"],
            "--device cpu: this is one device, and --cluster says who",
        ),
        (["a.jpg", "--devices", "cpu", "--cluster", "local"], "--devices and --cluster: one of them says who does"),
        (["a.jpg", "--devices", ","], "--devices and --cluster: one of them says who does the work. Name one"),
        (["-", "--devices", "cpu"], "--devices works on files that are there, not with -."),
        (["a.jpg", "-o", "-", "--cluster", "local"], "--cluster works on files that are there, not with -."),
        (
            [".", "-o", "out", "--watch", "--devices", "cpu"],
            "--devices works on files that are there, not with --watch.",
        ),
        (["a.jpg", "--cluster", "local"], "--cluster: it needs a folder for the results. Name one with --output."),
        (
            ["a.jpg", "-o", "out/", "--cluster", "here"],
            "--cluster here: it is not an address. Write HOST:PORT, or",
        ),
        (
            ["nonsense://x/y", "-o", "out/"],
            "nonsense://x/y: it cannot be reached (Protocol not known: nonsense).",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Run, here: Path, options: list[str], sentence: str) -> None:
    done = run(*options, *L)
    assert done.code == 2
    assert done.err.startswith(f"error: {sentence}")


def test_device_that_is_not_here_ends_the_job(run: Run, here: Path) -> None:
    done = run("a.jpg", "-o", "out/", "--devices", "cpu,toaster")
    assert done.code == 2
    assert done.err.startswith("error: --device toaster: no such kind of device. This machine has ")
    assert sizes(here / "out") == {}
