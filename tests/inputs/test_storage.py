"""Folders at URLs: the same results as in folders of this machine, made once, resumed, whole or not at all."""

from __future__ import annotations

import os
import pickle
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.jobs.work import UPSCALER, alone, customized, parts, pictures, tree
from upscaler import PlanError, Target, Upscaler
from upscaler.codecs import EncodeOptions
from upscaler.inputs.discover import find_jobs
from upscaler.inputs.storage import Remote, local_copy, parse_location, stat
from upscaler.jobs.batch import run
from upscaler.jobs.manifest import FOLDER, Manifest
from upscaler.jobs.outcome import Outcome
from upscaler.pipeline import Pipeline

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which dir://x/y is store/x/y, in every process: a file system that fsspec brings along."""
    (tmp_path / "store").mkdir()
    monkeypatch.setitem(fsspec.config.conf, "dir", {"path": str(tmp_path / "store"), "target_protocol": "file"})
    monkeypatch.setenv("FSSPEC_DIR_PATH", str(tmp_path / "store"))
    monkeypatch.setenv("FSSPEC_DIR_TARGET_PROTOCOL", "file")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job(source: str = "dir://bucket/in", output: str = "dir://bucket/out", **options: object) -> list[Outcome]:
    return list(Upscaler("lanczos").batch(source, output, scale=2.0, **options))  # type: ignore[arg-type]


def said(outcomes: list[Outcome]) -> list[str]:
    return sorted("failed" if each.error else "kept" if each.was_done else "made" for each in outcomes)


def test_remote_is_taken_apart_and_joined_like_a_path() -> None:
    folder = parse_location("dir://bucket/in")
    file = folder / "deep" / "a.png"
    assert str(file) == os.fspath(file) == "dir://bucket/in/deep/a.png"
    assert (file.name, file.stem, file.suffix, str(file.parent)) == ("a.png", "a", ".png", "dir://bucket/in/deep")
    assert file.relative_to(folder).parts == ("deep", "a.png")
    assert file == parse_location(str(file)) == pickle.loads(pickle.dumps(file))
    assert hash(file) == hash(parse_location(str(file)))
    assert type(file.with_name("b.png")) is type(file.parent) is Remote
    assert parse_location("file:///tmp/a b.png") == Path("/tmp/a b.png")


def test_files_at_a_url_are_seen_and_fetched(here: Path) -> None:
    (here / "store/b").mkdir()
    (here / "store/b/x.png").write_bytes(b"1234")
    found = stat(parse_location("dir://b/x.png"))
    assert found is not None
    assert found.size == 4
    assert abs(found.mtime_ns - (here / "store/b/x.png").stat().st_mtime_ns) < 10**7
    assert stat(parse_location("dir://b/y.png")) is stat(parse_location("dir://b")) is None
    with local_copy(parse_location("dir://b/x.png")) as file:
        assert file.read_bytes() == b"1234"
    assert not file.exists()


@pytest.mark.parametrize(
    ("url", "reason"), [("nonsense://b/x", "Protocol not known: nonsense"), ("sftp://host/x", "paramiko")]
)
def test_url_that_nothing_reaches_is_a_sentence(url: str, reason: str) -> None:
    with pytest.raises(PlanError, match=f"{url}: it cannot be reached \\(.*{reason}.*Install 'upscaler\\[cluster\\]'"):
        parse_location(url)


@pytest.mark.parametrize("options", [{}, {"devices": ("cpu", "cpu")}])
def test_folder_at_a_url_becomes_a_folder_at_a_url(here: Path, options: dict[str, object]) -> None:
    pictures(here / "store/bucket/in", 8)
    (here / "store/bucket/in/notes.txt").write_text("no picture")
    (here / "store/bucket/in/.hidden.png").write_bytes(b"")
    assert said(job(**options)) == ["failed", *["made"] * 8]
    assert tree(here / "store/bucket/out") == alone(here / "store/bucket/in", here / "right")
    assert parts(here) == []
    assert [path.name for path in (here / "store/bucket/out" / FOLDER).iterdir()] == ["manifest.sqlite"]
    assert said(job(**options)) == ["failed", *["kept"] * 8]
    (here / "store/bucket/in/0.png").write_bytes((here / "store/bucket/in/2.png").read_bytes())
    assert said(job(**options)) == ["failed", *["kept"] * 7, "made"]
    assert tree(here / "store/bucket/out")["0.png"] == tree(here / "store/bucket/out")["2.png"]


def test_either_side_may_be_on_this_machine(here: Path) -> None:
    pictures(here / "in", 4)
    right = alone(here / "in", here / "right")
    assert said(job("in", "dir://bucket/up")) == ["failed", *["made"] * 4]
    assert tree(here / "store/bucket/up") == right
    (here / "in").rename(here / "store/bucket/in")
    assert said(job("dir://bucket/in", "down")) == ["failed", *["made"] * 4]
    assert tree(here / "down") == right


def test_objects_in_memory_are_files_too(here: Path) -> None:
    """A file system without folders, as object stores are."""
    pictures(here / "in", 3)
    memory = fsspec.filesystem("memory")
    memory.put(str(here / "in"), "/bucket/in", recursive=True)
    assert said(job("memory://bucket/in", "memory://bucket/out")) == ["failed", *["made"] * 3]
    memory.get("/bucket/out", str(here / "out"), recursive=True)
    assert tree(here / "out") == alone(here / "in", here / "right")


def test_files_of_others_are_not_replaced_at_a_url(here: Path) -> None:
    pictures(here / "store/b/in", 1)
    (here / "store/b/out").mkdir()
    (here / "store/b/out/0.png").write_bytes(b"precious")
    (outcome,) = (each for each in job("dir://b/in", "dir://b/out") if each.source.name == "0.png")
    assert outcome.error == "dir://b/out/0.png: exists already. Use `overwrite` to replace it."
    assert (here / "store/b/out/0.png").read_bytes() == b"precious"


def test_a_file_that_appears_meanwhile_is_not_replaced_at_a_url(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from upscaler.inputs import storage

    pictures(here / "store/b/in", 1)
    upload = storage.upload

    def sent(file: Path, remote: Remote) -> None:
        upload(file, remote)
        (here / "store/b/out/0.png").write_bytes(b"precious")

    monkeypatch.setattr(storage, "upload", sent)
    (outcome,) = (each for each in job("dir://b/in", "dir://b/out") if each.source.name == "0.png")
    assert outcome.error == "dir://b/out/0.png: exists already. Use `overwrite` to replace it."
    assert (here / "store/b/out/0.png").read_bytes() == b"precious"
    assert parts(here) == []


def test_job_that_was_killed_is_gone_on_with_where_it_ran(here: Path) -> None:
    pictures(here / "store/bucket/in", 6)
    manifest = Manifest(parse_location("dir://bucket/out"))
    kept = here / "home/jobs"
    manifest.close()
    (here / "store/bucket/out" / FOLDER / "manifest.sqlite").unlink()
    assert [path.name for path in kept.rglob("*.sqlite")] == []
    code = """
import os
from upscaler.jobs import manifest
place = manifest.storage.place
def placed(part, output, overwrite):
    place(part, output, overwrite)
    if output.name == "2.png": os._exit(9)
manifest.storage.place = placed
"""
    command = [*UPSCALER, "dir://bucket/in", "-o", "dir://bucket/out", "-m", "lanczos", "-s", "2"]
    done = subprocess.run(command, env=customized(here / "site", code), capture_output=True, text=True, check=False)
    assert done.returncode == 9
    assert [path.name for path in kept.rglob("*.sqlite")] == ["manifest.sqlite"]
    outcomes = job()
    assert said(outcomes).count("kept") > 0
    assert tree(here / "store/bucket/out") == alone(here / "store/bucket/in", here / "right")
    with sqlite3.connect(here / "store/bucket/out" / FOLDER / "manifest.sqlite") as database:
        assert database.execute("SELECT count(*) FROM pictures").fetchone() == (7,)


def test_results_beside_what_is_at_a_url_are_refused(here: Path) -> None:
    pictures(here / "store/b/in", 1)
    with pytest.raises(PlanError, match=r"dir://b/in/0\.png: results are not written beside sources at a URL"):
        find_jobs(["dir://b/in"], None, EncodeOptions(), "_2x")
    with pytest.raises(PlanError, match=r"dir://b/x\.png: only folders can be written into at a URL"):
        find_jobs(["dir://b/in/0.png"], "dir://b/x.png", EncodeOptions(), "_2x")
    with pytest.raises(PlanError, match=r"dir://b/in/0\.png: it would be overwritten by its own result"):
        find_jobs(["dir://b/in"], "dir://b/in", EncodeOptions(overwrite=True), "")


def test_one_picture_at_a_url_and_several_folders(here: Path) -> None:
    pictures(here / "store/b/in", 2)
    pictures(here / "more", 2)
    one = find_jobs(["dir://b/in/0.png"], "out", EncodeOptions(), "_2x").jobs
    assert [str(job.output) for job in one] == [str(Path("out/0.png"))]
    both = find_jobs(["dir://b/in", "more"], "dir://b/out", EncodeOptions(), "_2x", include=["*1.png"]).jobs
    assert {str(job.output) for job in both} == {f"dir://b/out/{name}/deep/1.png" for name in ("in", "more")}


def test_picture_that_is_gone_when_it_is_read_is_an_outcome(here: Path) -> None:
    pictures(here / "store/b/in", 1)
    found = find_jobs(["dir://b/in/0.png"], "out/", EncodeOptions(), "_2x")
    (here / "store/b/in/0.png").unlink()
    (outcome,) = run(Pipeline("lanczos"), found.jobs, Target(scale=2), folder=found.folder)
    assert outcome.error == "dir://b/in/0.png: No such file or directory."
    with pytest.raises(PlanError, match=r"dir://b/in/0\.png: there is no picture in there"):
        find_jobs(["dir://b/in/0.png"], "out/", EncodeOptions(), "_2x")


def test_only_parts_are_deleted_of_what_an_earlier_run_has_left(here: Path) -> None:
    pictures(here / "store/bucket/in", 1)
    folder = here / "store/bucket/out" / FOLDER / "parts"
    (folder / "deep").mkdir(parents=True)
    part, deep, other = (
        folder / f".a.png.{'0' * 16}.part",
        folder / "deep" / f".b.png.{'0' * 16}.part",
        folder / "mine.txt",
    )
    for file in (part, deep, other):
        file.write_bytes(b"")
    assert said(job()) == ["failed", "made"]
    assert not part.exists()
    assert deep.exists()
    assert other.exists()
