"""What is remembered between runs, wherever one was killed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.work import ROOT, numbered_pictures, run_numbered
from upscaler import OutputError
from upscaler.jobs.manifest import FOLDER, Manifest


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `numbered_pictures`."""
    numbered_pictures(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_runs_into_one_folder_are_refused() -> None:
    manifest = Manifest(Path("out"))
    with pytest.raises(OutputError, match="out: another run is at work in this folder"):
        run_numbered()
    manifest.close()
    assert run_numbered()["0.png"] == "made"


def test_a_broken_manifest_is_one_sentence(here: Path) -> None:
    (here / "out" / FOLDER).mkdir(parents=True)
    (here / "out" / FOLDER / "manifest.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(OutputError, match=r"the manifest in there cannot be read .* Remove it to begin anew"):
        run_numbered()


def test_manifest_knows_input_settings_output_and_time() -> None:
    run_numbered()
    with sqlite3.connect(f"out/{FOLDER}/manifest.sqlite") as database:
        assert database.execute("SELECT count(*) FROM pictures").fetchone() == (7,)
    manifest = Manifest(Path("out"))
    row, bad = manifest.row(Path("out/deep/1.png")), manifest.row(Path("out/bad.png"))
    manifest.close()
    assert row is not None
    assert bad is not None
    assert row.output == "deep/1.png"
    assert row.outcome == "made"
    assert row.source_sha256 == hashlib.sha256(Path("in/deep/1.png").read_bytes()).hexdigest()
    assert row.output_sha256 == hashlib.sha256(Path("out/deep/1.png").read_bytes()).hexdigest()
    assert (row.width, row.height) == (40, 26)
    assert row.seconds > 0
    assert '"model": "lanczos"' in row.settings
    assert bad.outcome == "failed"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("points", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_job_killed_anywhere_ends_in_the_same_bytes(points: int) -> None:
    command = [sys.executable, "-m", "tests.jobs.killing", str(points)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{points} points of ")
    assert done.stdout.endswith(" 6 files, 0 wrong\n"), done.stdout
