"""Resuming: what is done is not done again, what is not is; whatever happened in between, wherever it was killed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscaler import OutputError, Size, Target
from upscaler.codecs import EncodeOptions
from upscaler.inputs.discover import find_jobs
from upscaler.jobs.batch import run
from upscaler.jobs.manifest import FOLDER, Manifest
from upscaler.jobs.outcome import Outcome, SelectionRules
from upscaler.pipeline import Pipeline


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: in/0.png … in/5.jpg, and in/bad.png."""
    (tmp_path / "in/deep").mkdir(parents=True)
    for index in range(6):
        noise = np.random.default_rng(index).integers(0, 256, (12 + index, 20, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"in/{'deep/' * (index % 2)}{index}{'.jpg' if index > 3 else '.png'}")
    (tmp_path / "in/bad.png").write_bytes(b"\x89PNG\r\n\x1a\n but no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job(upscaler: str = "lanczos", scale: float = 2, quality: int | None = None, **options: object) -> dict[str, str]:
    """Runs in/ into out/: what became of each picture, by its name."""
    found = find_jobs(["in"], "out/", EncodeOptions(quality=quality, overwrite=bool(options.pop("overwrite", 0))), "")
    choice = SelectionRules(**options)  # type: ignore[arg-type]
    outcomes = run(Pipeline(upscaler), found.jobs, Target(scale=scale), folder=found.folder, choice=choice)
    return {outcome.source.name: said(outcome) for outcome in outcomes}


def said(outcome: Outcome) -> str:
    return outcome.error or outcome.skipped or ("kept" if outcome.was_done else "made")


def tree(folder: Path) -> dict[str, str]:
    """The hash of every file, the manifest and its like left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and FOLDER not in path.parts
    }


ROOT = Path(__file__).parent.parent.parent

GOOD = ["0.png", "1.png", "2.png", "3.png", "4.jpg", "5.jpg"]


def test_a_second_run_makes_nothing_and_says_the_same_failures() -> None:
    first = job()
    assert [first[name] for name in GOOD] == ["made"] * 6
    times = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.*g")}
    second = job()
    assert [second[name] for name in GOOD] == ["kept"] * 6
    assert second["bad.png"] == first["bad.png"]
    assert "in/bad.png: " in first["bad.png"]
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.*g")} == times


def test_only_what_is_missing_or_changed_is_made(here: Path) -> None:
    job()
    before = tree(here / "out")
    Path("out/0.png").unlink()
    Image.new("RGB", (20, 13)).save("in/deep/1.png")
    third = job()
    assert {name for name in GOOD if third[name] == "made"} == {"0.png", "1.png"}
    after = tree(here / "out")
    assert {name for name in before if before[name] != after[name]} == {"deep/1.png"}


def test_a_source_that_was_only_touched_is_the_same(here: Path) -> None:
    job()
    for path in Path("in").rglob("*.*g"):
        os.utime(path, (1, 1))
    found = job()
    assert [found[name] for name in GOOD] == ["kept"] * 6


@pytest.mark.parametrize("settings", [{"scale": 3}, {"quality": 50}])
def test_other_settings_make_everything_again(here: Path, settings: dict[str, int]) -> None:
    job()
    for said in ("made", "kept"):
        found = job(**settings)  # type: ignore[arg-type]
        assert [found[name] for name in GOOD] == [said] * 6


def test_force_makes_everything_again_and_retry_what_failed() -> None:
    first = job()
    forced = job(force=True)
    assert [forced[name] for name in GOOD] == ["made"] * 6
    Image.new("RGB", (9, 9)).save("good.png")
    Path("in/bad.png").write_bytes(Path("good.png").read_bytes())
    assert job()["bad.png"] == "made", "another content is another picture"
    assert first["bad.png"] != "made"


def test_what_failed_is_tried_again_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from upscaler.jobs import stages

    tried = []
    read = stages.read
    monkeypatch.setattr(stages, "read", lambda source, **options: tried.append(source.name) or read(source, **options))
    job()
    tried.clear()
    job()
    assert tried == []
    job(retry_failed=True)
    assert tried == ["bad.png"]


def test_sources_of_some_sizes_are_left_out() -> None:
    found = job(skip_larger_than=Size(100, 15))
    assert {name for name in GOOD if found[name] == "made"} == {"0.png", "1.png", "2.png", "3.png"}
    assert found["5.jpg"] == "it has 20x17 pixels, more than 100x15"
    found = job(skip_at_least=Size(20, 15))
    assert {name for name in GOOD if found[name] == "kept"} == {"0.png", "1.png", "2.png", "3.png"}
    assert found["4.jpg"] == "it has 20x16 pixels, 20x15 or more"


def test_files_of_others_are_not_replaced(here: Path) -> None:
    Path("out").mkdir()
    Path("out/0.png").write_bytes(b"precious")
    found = job()
    assert found["0.png"].endswith("0.png: exists already. Use `overwrite` to replace it.")
    assert Path("out/0.png").read_bytes() == b"precious"
    assert job(overwrite=True)["0.png"] == "made"


def test_a_result_that_was_edited_is_not_replaced() -> None:
    job()
    with Image.open("out/0.png") as image:
        image.rotate(90).save("out/0.png")
    edited = Path("out/0.png").read_bytes()
    assert "exists already" in job()["0.png"]
    assert "exists already" in job(scale=3)["0.png"]
    assert Path("out/0.png").read_bytes() == edited


def test_a_run_killed_before_its_result_replaced_an_older_one_goes_on(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row tells of a result that never came to lie there; what lies there is still ours."""
    import upscaler.inputs.storage as module

    job()
    before = tree(here / "out")

    def killed(part: Path, output: Path, overwrite: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "place", killed)
    with pytest.raises(KeyboardInterrupt):
        job(scale=3)
    assert tree(here / "out") == before
    monkeypatch.undo()
    monkeypatch.chdir(here)
    found = job(scale=3)
    assert [found[name] for name in GOOD] == ["made"] * 6


def test_a_result_that_took_its_name_before_that_was_noted_is_done(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import upscaler.inputs.storage as module

    place = module.place

    def killed(part: Path, output: Path, overwrite: bool) -> None:
        place(part, output, overwrite)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "place", killed)
    with pytest.raises(KeyboardInterrupt):
        job()
    made = set(tree(here / "out"))
    assert made
    monkeypatch.undo()
    monkeypatch.chdir(here)
    found = job()
    assert {name for name in GOOD if found[name] == "kept"} == {Path(name).name for name in made}


def test_two_runs_into_one_folder_are_refused() -> None:
    manifest = Manifest(Path("out"))
    with pytest.raises(OutputError, match="out: another run is at work in this folder"):
        job()
    manifest.close()
    assert job()["0.png"] == "made"


def test_a_broken_manifest_is_one_sentence(here: Path) -> None:
    (here / "out" / FOLDER).mkdir(parents=True)
    (here / "out" / FOLDER / "manifest.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(OutputError, match=r"the manifest in there cannot be read .* Remove it to begin anew"):
        job()


def test_manifest_knows_input_settings_output_and_time() -> None:
    job()
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
