"""Many pictures: outcomes, what ends a run and what does not, what is known before anything is computed."""

from __future__ import annotations

import importlib
import itertools
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.codecs.checks import WRITTEN
from tests.networks import tiny_compact
from upscaler import DeviceLost, ModelError, OutputError, PlanError, Size, Target, Upscaler, codecs
from upscaler.arrays import FloatArray
from upscaler.codecs import EncodeOptions, by_name
from upscaler.engines.resample import ResampleEngine
from upscaler.inputs.discover import Job, find_jobs
from upscaler.jobs.batch import run
from upscaler.jobs.outcome import Outcome
from upscaler.pipeline import Pipeline, PipelineOptions
from upscaler.progress import ProgressCallback


@pytest.fixture
def lanczos() -> Pipeline:
    return Pipeline("lanczos")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: in/a.png, in/bad.jpg, in/deep/b.png, in/wide.png."""
    (tmp_path / "in/deep").mkdir(parents=True)
    for name, size in (("a.png", (60, 40)), ("deep/b.png", (30, 20)), ("wide.png", (600, 40))):
        Image.linear_gradient("L").resize(size).save(tmp_path / "in" / name)
    (tmp_path / "in/bad.jpg").write_bytes(b"\xff\xd8\xff but no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def jobs(*inputs: str, **writing: object) -> tuple[Job, ...]:
    return find_jobs(inputs or ["in"], "out/", EncodeOptions(**writing), "").jobs  # type: ignore[arg-type]


def by_name_of(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {outcome.source.name: outcome for outcome in outcomes}


def test_bad_picture_is_an_outcome_and_the_others_are_done(here: Path, lanczos: Pipeline) -> None:
    found = by_name_of(list(run(lanczos, jobs(), Target(scale=2))))
    assert len(found) == 4
    bad = found.pop("bad.jpg")
    assert bad.error is not None
    assert bad.error.startswith(f"{Path('in/bad.jpg')}: the file is ")
    assert (bad.size, bad.estimate) == (None, None)
    for outcome in found.values():
        assert outcome.error is None
        assert outcome.size == codecs.decode(outcome.output).size
    assert sorted(path.name for path in Path("out").rglob("*.*")) == ["a.png", "b.png", "wide.png"]


def test_what_is_left_out_of_a_picture_stands_in_its_outcome(here: Path, lanczos: Pipeline) -> None:
    frames = [Image.linear_gradient("L").resize((8, side)).resize((8, 8)) for side in (8, 2, 3)]
    frames[0].save("in/film.gif", save_all=True, append_images=frames[1:])
    Image.new("RGBA", (8, 8)).save("in/clear.png")
    found = by_name_of(list(run(lanczos, jobs("in/film.gif", "in/clear.png", format=by_name("jpg")), Target(scale=2))))
    film, clear = Path("in/film.gif"), Path("in/clear.png")
    assert found["film.gif"].warnings == (f"{film}: there are 3 frames or pages; the first is used.",)
    assert found["clear.png"].warnings == (f"{clear}: JPEG has no transparency; the picture is laid on white.",)


def test_outcomes_come_as_pictures_are_done(lanczos: Pipeline) -> None:
    def endless() -> Iterator[Job]:
        yield from jobs()
        yield from itertools.repeat(jobs("in/missing.png")[0])

    outcomes = run(lanczos, endless(), Target(scale=2))
    found = by_name_of([next(outcomes) for _ in range(4)])
    outcomes.close()
    assert "missing.png" in found or len(found) == 4
    for outcome in found.values():
        assert outcome.error is not None or outcome.output.exists()


def test_dry_run_does_all_but_the_work(lanczos: Pipeline) -> None:
    found = by_name_of(list(run(lanczos, jobs(), Target(scale=2), dry_run=True)))
    assert found["a.png"].size == Size(120, 80)
    assert found["bad.jpg"].error
    assert not Path("out").exists()


def test_picture_that_cannot_become_so_large_is_an_outcome(lanczos: Pipeline) -> None:
    found = by_name_of(list(run(lanczos, jobs(), Target(height=1000), dry_run=True)))
    assert found["a.png"].size == Size(1500, 1000)
    assert found["b.png"].error == (
        f"{Path('in/deep/b.png')}: 30x20 would become 50.0 times as large; more than 32 is not supported. "
        "Ask for a smaller size."
    )


@pytest.mark.parametrize("target", [Target(scale=2), Target(height=100)])
def test_options_that_suit_no_picture_end_the_run(target: Target) -> None:
    with pytest.raises(PlanError, match="tile=9: too small"):
        list(run(Pipeline("lanczos", PipelineOptions(tile=9)), jobs(), target))
    with pytest.raises(PlanError, match="device=toaster: no such kind"):
        list(run(Pipeline("faithful", PipelineOptions(device="toaster")), jobs(), target))


def test_model_that_cannot_be_read_ends_the_run(here: Path) -> None:
    (here / "junk.pth").write_bytes(os.urandom(500))
    with pytest.raises(ModelError, match="cannot be read as a network"):
        list(run(Pipeline(str(here / "junk.pth")), jobs(), Target()))


def test_model_that_does_not_enlarge_is_a_matter_of_the_size_asked_for(here: Path) -> None:
    cleaner = Pipeline(str(tiny_compact(here, scale=1)), PipelineOptions(device="cpu"))
    with pytest.raises(PlanError, match="cleans pictures without enlarging"):
        list(run(cleaner, jobs("in/a.png"), Target(scale=2)))
    (outcome,) = run(cleaner, jobs("in/a.png"), Target(width=100))
    assert outcome.error is not None
    assert outcome.error.startswith(f"{Path('in/a.png')}: the model cleans pictures without enlarging them.")


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (MemoryError(), "in/a.png: there is not enough memory. Close other programs, or allow less with `memory`."),
        (OSError(5, "Input/output error"), "in/a.png: Input/output error."),
        (OSError(5, "Input/output error", "/mnt/x"), "/mnt/x: Input/output error."),
        (
            KeyError("k"),
            "in/a.png: a fault in this program ended the work (KeyError: 'k'). Nothing was written for it, and "
            "finished pictures stay as they are. Run it again with `verbose`, and report what is said then.",
        ),
        (OutputError("/tmp: no room."), "in/a.png: /tmp: no room."),
        (OutputError("out/a.png: no room."), "out/a.png: no room."),
    ],
)
def test_whatever_is_raised_is_a_sentence_that_names_a_file(
    lanczos: Pipeline, monkeypatch: pytest.MonkeyPatch, problem: Exception, sentence: str
) -> None:
    def failing(*_: object) -> None:
        raise problem

    monkeypatch.setattr(codecs, "encode", failing)
    (outcome,) = run(lanczos, jobs("in/a.png"), Target(scale=2))
    assert outcome.error == sentence


def test_a_lost_device_ends_the_run_and_fails_no_picture(here: Path, lanczos: Pipeline) -> None:
    """The next run makes what is not made."""

    def lose(self: ResampleEngine, tiles: FloatArray) -> FloatArray:
        raise DeviceLost("cuda:0 is lost to this process (CUDA error). Run the same command again.")

    outcomes: list[Outcome] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResampleEngine, "run", lose)
        with pytest.raises(DeviceLost, match="cuda:0 is lost"):
            outcomes.extend(run(lanczos, jobs(), Target(scale=2), folder=here / "out"))
    assert {outcome.source.name for outcome in outcomes} <= {"bad.jpg"}
    found = by_name_of(list(run(lanczos, jobs(), Target(scale=2), folder=here / "out")))
    assert [name for name, outcome in found.items() if outcome.error] == ["bad.jpg"]


def test_interruption_is_no_outcome(lanczos: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(codecs, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(run(lanczos, jobs(), Target(scale=2)))


def test_output_that_exists_is_known_before_its_source_is_read(lanczos: Pipeline, here: Path) -> None:
    (here / "out").mkdir()
    (here / "out/bad.jpg").write_text("precious")
    (outcome,) = run(lanczos, jobs("in/bad.jpg"), Target())
    assert outcome.error == f"{Path('out/bad.jpg')}: exists already. Use `overwrite` to replace it."


def test_job_with_a_problem_is_not_tried(lanczos: Pipeline) -> None:
    (outcome,) = run(lanczos, [Job(Path("in"), Path("out/x.png"), problem="in: cannot be read.")], Target())
    assert outcome.error == "in: cannot be read."


def test_reading_options_reach_the_decoder(lanczos: Pipeline) -> None:
    (outcome,) = run(lanczos, jobs("in/wide.png"), Target(), max_pixels=1000)
    assert outcome.error is not None
    assert "over the limit of" in outcome.error


def test_progress_is_told_for_each_picture(lanczos: Pipeline) -> None:
    told: list[tuple[str, int, int | None]] = []

    def progress(name: str) -> ProgressCallback:
        return lambda done, total: told.append((name, done, total))

    list(run(lanczos, jobs("in/a.png", "in/deep/b.png"), Target(scale=2), progress=progress))
    names = [str(Path("in/a.png")), str(Path("in/deep/b.png"))]
    assert [at for at in told if at[1] == at[2]] == [(name, 1, 1) for name in names]


def test_folder_of_a_library_user(here: Path) -> None:
    with Upscaler("lanczos") as upscaler:
        found = by_name_of(
            list(upscaler.batch("in", "out", scale=2, writing=EncodeOptions(by_name("webp")), accept_damaged=True))
        )
    assert found["a.png"].output == Path("out/a.webp")
    assert found["a.png"].size == Size(120, 80)
    assert found["bad.jpg"].error
    with pytest.raises(PlanError, match="is not a folder"):
        list(Upscaler("lanczos").batch(here / "in/a.png", here / "out"))


def contents(folder: Path) -> dict[str, bytes]:
    """The content of every file of a folder but the manifest."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".upscaler" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith(".part")]


FULL = r": the disk is full\. Make room, and run the same command again to go on\.$"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_full_disk_ends_the_run_whatever_is_written(
    here: Path, lanczos: Pipeline, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    encode = importlib.import_module("upscaler.codecs.encode")

    def make_full(path: Path, folder: Path) -> Path:
        part = folder / f".{path.name}.part"
        part.symlink_to("/dev/full")
        return part

    def enlarge() -> list[Outcome]:
        found = find_jobs(["in/a.png"], f"out/{suffix}/", EncodeOptions(), f".{suffix}")
        jobs = [replace(job, output=job.output.with_suffix(f".{suffix}")) for job in found.jobs]
        return list(run(lanczos, jobs, Target(scale=2), folder=Path("out")))

    with monkeypatch.context() as patch:
        patch.setattr(encode, "make_part", make_full)
        with pytest.raises(OutputError, match=FULL):
            enlarge()
    assert contents(here / "out") == {}
    assert leftovers(here / "out") == []
    (outcome,) = enlarge()
    assert outcome.error is None


def test_a_manifest_that_finds_no_room_ends_the_run(
    here: Path, lanczos: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself says so, since it may not have more pages than it has."""
    from upscaler.jobs import database

    for index in range(30):
        shutil.copy("in/a.png", f"in/a{index}.png")

    def enlarge(folder: str) -> list[Outcome]:
        found = find_jobs(["in"], f"{folder}/", EncodeOptions(), "").jobs
        return list(run(lanczos, found, Target(scale=2), folder=Path(folder)))

    enlarge("right")

    def open_small(file: Path) -> sqlite3.Connection:
        opened = open_whole(file)
        opened.execute("PRAGMA max_page_count=6")
        return opened

    open_whole = database.open
    with monkeypatch.context() as patch:
        patch.setattr(database, "open", open_small)
        with pytest.raises(OutputError, match=FULL):
            enlarge("out")
    right, made = contents(here / "right"), contents(here / "out")
    assert 0 < len(made) < len(right)
    assert made.items() <= right.items()
    assert leftovers(here / "out") == []
    assert all(outcome.error is None or outcome.source.name == "bad.jpg" for outcome in enlarge("out"))
    assert contents(here / "out") == right


def test_a_run_goes_on_where_a_full_disk_has_ended_it(here: Path, lanczos: Pipeline) -> None:
    """On a small disk of its own, of every size in turn until there is room."""
    disk = here / "disk"
    disk.mkdir()
    noise = np.random.default_rng(1)
    shutil.rmtree("in")
    Path("in").mkdir()
    for index, suffix in enumerate(("png", "tif", "bmp", "jpg", "webp", "ppm") * 2):
        Image.fromarray(noise.integers(0, 256, (40, 60, 3), np.uint8)).save(f"in/{index:02}.{suffix}")

    def enlarge(folder: Path) -> list[Outcome]:
        found = find_jobs(["in"], f"{folder}/", EncodeOptions(), "").jobs
        return list(run(lanczos, found, Target(scale=2), folder=folder))

    enlarge(here / "right")
    right = contents(here / "right")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk may not be mounted here")
    try:
        ended: list[str] = []
        for size in (*range(64, 640, 48), 4096):
            subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)
            if size == 4096:
                outcomes = enlarge(disk / "out")
                assert all(outcome.error is None for outcome in outcomes)
                break
            try:
                assert all(outcome.error is None for outcome in enlarge(disk / "out"))
            except OutputError as error:
                ended.append(str(error))
            assert contents(disk / "out").items() <= right.items()
            assert leftovers(disk / "out") == []
        assert len(ended) > 3
        assert all(re.search(FULL, text) for text in ended)
        assert contents(disk / "out") == right
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)  # files of failed tries may still be open
