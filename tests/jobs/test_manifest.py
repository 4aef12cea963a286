"""What is remembered between runs, wherever one was killed."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.jobs.work import GOOD, ROOT, UPSCALER, numbered_pictures, run_numbered
from upscaler import OutputError
from upscaler.jobs.database import ADDED, VERSION
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


def stranger(folder: Path) -> Path:
    """A file of somebody else, in a folder of theirs that has our names in it."""
    (folder / "parts").mkdir(parents=True)
    (folder / "manifest.sqlite").write_bytes(b"")
    (folder / "lock").write_text("precious")
    (folder / "parts/precious.txt").write_text("precious")
    return folder


@pytest.mark.parametrize("name", ["", "/parts", "/lock", "/manifest.sqlite"])
def test_nothing_is_written_or_deleted_through_links(here: Path, name: str) -> None:
    elsewhere = stranger(here / "elsewhere")
    before = {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()}
    own = here / "out" / FOLDER
    (own if name else own.parent).mkdir(parents=True)
    (here / f"out/{FOLDER}{name}").symlink_to(Path(f"{elsewhere}{name}"))
    with pytest.raises(OutputError, match=r"this is a link, which may lead anywhere\. Remove it"):
        run_numbered()
    assert {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()} == before


def test_files_of_others_among_the_parts_stay(here: Path) -> None:
    parts = stranger(here / "out" / FOLDER) / "parts"
    assert run_numbered()["0.png"] == "made"
    assert [path.name for path in parts.iterdir()] == ["precious.txt"]


def test_a_manifest_of_the_first_version_is_read(here: Path) -> None:
    run_numbered()
    with sqlite3.connect(f"out/{FOLDER}/manifest.sqlite") as old:
        for column in ADDED:
            old.execute(f"ALTER TABLE pictures DROP COLUMN {column}")
        old.execute("PRAGMA user_version = 0")
    assert run_numbered()["0.png"] == "kept"
    with sqlite3.connect(f"out/{FOLDER}/manifest.sqlite") as new:
        assert new.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert new.execute("SELECT count(*) FROM pictures WHERE source_ctime_ns > 0").fetchone() == (7,)


def test_a_manifest_of_a_newer_version_is_refused() -> None:
    run_numbered()
    with sqlite3.connect(f"out/{FOLDER}/manifest.sqlite") as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(OutputError, match=r"this manifest is of a newer version of this program \(3, not 2\)"):
        run_numbered()


@pytest.mark.parametrize(
    "change",
    [
        "width = 'wide'",
        "width = NULL",
        "seconds = 'long'",
        "outcome = 'done'",
        "output_sha256 = 3",
        "source_size = x'00'",
        "error = x'ff'",
        "settings = NULL",
    ],
)
def test_rows_that_nobody_has_written_are_not_believed(change: str) -> None:
    run_numbered()
    with sqlite3.connect(f"out/{FOLDER}/manifest.sqlite") as database:
        database.execute(f"UPDATE pictures SET {change} WHERE output = '0.png'")
    assert "exists already" in run_numbered()["0.png"]
    assert run_numbered(overwrite=True)["0.png"] == "made"


def test_text_in_the_manifest_that_is_none_is_a_sentence() -> None:
    run_numbered()
    with sqlite3.connect(f"out/{FOLDER}/manifest.sqlite") as database:
        database.execute("UPDATE pictures SET error = CAST(x'ff' AS TEXT) WHERE output = '0.png'")
    assert "the manifest in there cannot be used (Could not decode" in run_numbered()["0.png"]


def test_a_database_that_is_no_text_where_it_is_wrong_is_a_sentence() -> None:
    run_numbered()
    file = Path(f"out/{FOLDER}/manifest.sqlite")
    file.write_bytes(file.read_bytes().replace(b"PRIMARY KEY", b"PRIMARY \xc5EY"))
    with pytest.raises(OutputError, match=r"the manifest in there cannot be read \('utf-8' codec"):
        run_numbered()


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode")
def test_names_that_are_not_unicode_are_remembered(here: Path) -> None:
    shutil.copy("in/0.png", os.fsencode("in/deep/") + b"\xff.png")
    shutil.copy("in/2.png", "in/deep/\\udcff.png")
    shutil.copy("in/2.png", "in/deep/%FF.png")
    first = run_numbered()
    assert {name for name, became in first.items() if became == "made"} == {
        *GOOD,
        "\udcff.png",
        "\\udcff.png",
        "%FF.png",
    }
    second = run_numbered()
    assert {name for name, became in second.items() if became == "kept"} == {
        *GOOD,
        "\udcff.png",
        "\\udcff.png",
        "%FF.png",
    }


def test_a_subfolder_of_the_output_may_lie_on_another_disk(here: Path) -> None:
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shm.stat().st_dev == here.stat().st_dev:
        pytest.skip("there is no other disk")
    with tempfile.TemporaryDirectory(dir=shm) as disk:
        (here / "out").mkdir()
        (here / "out/deep").symlink_to(disk)
        for scale, expected in ((2, "made"), (2, "kept"), (3, "made")):
            found = run_numbered(scale=scale)
            assert [found[name] for name in GOOD] == [expected] * 6
        assert sorted(os.listdir(disk)) == ["1.png", "3.png", "5.jpg"]


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="compiles a stand-in for libc")
@pytest.mark.parametrize(
    ("fails", "sentence"),
    [
        ("mmap", "this drive has no shared memory maps or no locks (disk I/O error)"),
        ("posixlock", "this drive has no shared memory maps or no locks (database is locked)"),
        ("mmap posixlock", "this drive has no shared memory maps or no locks"),
        ("flock_nolck", "this drive has no locks. Do not let two runs work in this folder."),
        ("flock_notsup", "this drive has no locks. Do not let two runs work in this folder."),
    ],
)
def test_a_job_runs_on_a_drive_that_lacks_something(here: Path, fails: str, sentence: str) -> None:
    source, library = ROOT / "tests/data/netdrive.c", here / "netdrive.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    (here / "drive").mkdir()
    Path("in/bad.png").unlink()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NETDRIVE": str(here / "drive"), "FAIL": fails}
    command = [*UPSCALER, "in", "-m", "lanczos", "-s", "2", "-o", "drive/out"]
    for expected in ("6 made", "6 done before"):
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**environment, "LD_PRELOAD": str(library)}
        )
        assert (done.returncode, expected in done.stderr) == (0, True), done.stderr
        assert sentence in done.stderr
    assert subprocess.run(command, capture_output=True, check=False, env=environment).returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("points", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_job_killed_anywhere_ends_in_the_same_bytes(points: int) -> None:
    command = [sys.executable, "-m", "tests.jobs.killing", str(points)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{points} points of ")
    assert done.stdout.endswith(" 6 files, 0 wrong\n"), done.stdout
