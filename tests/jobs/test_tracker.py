"""Resuming: what is done is not done again, what is not is; files of others are left alone."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from tests.jobs.work import GOOD, numbered_pictures, run_numbered, tree
from upscaler import Size


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `numbered_pictures`."""
    numbered_pictures(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_second_run_makes_nothing_and_says_the_same_failures() -> None:
    first = run_numbered()
    assert [first[name] for name in GOOD] == ["made"] * 6
    times = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.*g")}
    second = run_numbered()
    assert [second[name] for name in GOOD] == ["kept"] * 6
    assert second["bad.png"] == first["bad.png"]
    assert "in/bad.png: " in first["bad.png"]
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.*g")} == times


def test_only_what_is_missing_or_changed_is_made(here: Path) -> None:
    run_numbered()
    before = tree(here / "out")
    Path("out/0.png").unlink()
    Image.new("RGB", (20, 13)).save("in/deep/1.png")
    third = run_numbered()
    assert {name for name in GOOD if third[name] == "made"} == {"0.png", "1.png"}
    after = tree(here / "out")
    assert {name for name in before if before[name] != after[name]} == {"deep/1.png"}


def test_a_source_that_was_only_touched_is_the_same(here: Path) -> None:
    run_numbered()
    for path in Path("in").rglob("*.*g"):
        os.utime(path, (1, 1))
    found = run_numbered()
    assert [found[name] for name in GOOD] == ["kept"] * 6


def test_a_source_replaced_by_one_of_equal_size_and_time_is_made_again(here: Path) -> None:
    def frame(value: int) -> None:
        Image.new("L", (16, 16), value).save("in/0.bmp")
        os.utime("in/0.bmp", (315532800,) * 2)

    frame(10)
    run_numbered()
    frame(200)
    assert run_numbered()["0.bmp"] == "made"
    with Image.open("out/0.bmp") as image:
        assert image.getpixel((0, 0)) == 200
    other = Path("in/other.bmp")
    shutil.copy("in/0.bmp", other)
    Image.new("L", (16, 16), 100).save(other)
    os.utime(other, (315532800,) * 2)
    other.replace("in/0.bmp")
    assert run_numbered()["0.bmp"] == "made"
    assert run_numbered()["0.bmp"] == "kept"


def test_a_result_replaced_by_one_of_equal_size_and_time_is_not_ours() -> None:
    run_numbered()
    before = Path("out/0.png").stat()
    Path("out/0.png").write_bytes(bytes(before.st_size))
    os.utime("out/0.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "exists already" in run_numbered()["0.png"]


@pytest.mark.parametrize("settings", [{"scale": 3}, {"quality": 50}])
def test_other_settings_make_everything_again(here: Path, settings: dict[str, int]) -> None:
    run_numbered()
    for said in ("made", "kept"):
        found = run_numbered(**settings)  # type: ignore[arg-type]
        assert [found[name] for name in GOOD] == [said] * 6


def test_force_makes_everything_again_and_retry_what_failed() -> None:
    first = run_numbered()
    forced = run_numbered(force=True)
    assert [forced[name] for name in GOOD] == ["made"] * 6
    Image.new("RGB", (9, 9)).save("good.png")
    Path("in/bad.png").write_bytes(Path("good.png").read_bytes())
    assert run_numbered()["bad.png"] == "made", "another content is another picture"
    assert first["bad.png"] != "made"


def test_what_failed_is_tried_again_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from upscaler.jobs import stages

    tried = []
    read = stages.read
    monkeypatch.setattr(stages, "read", lambda source, **options: tried.append(source.name) or read(source, **options))
    run_numbered()
    tried.clear()
    run_numbered()
    assert tried == []
    run_numbered(retry_failed=True)
    assert tried == ["bad.png"]


def test_sources_of_some_sizes_are_left_out() -> None:
    found = run_numbered(skip_larger_than=Size(100, 15))
    assert {name for name in GOOD if found[name] == "made"} == {"0.png", "1.png", "2.png", "3.png"}
    assert found["5.jpg"] == "it has 20x17 pixels, more than 100x15"
    found = run_numbered(skip_at_least=Size(20, 15))
    assert {name for name in GOOD if found[name] == "kept"} == {"0.png", "1.png", "2.png", "3.png"}
    assert found["4.jpg"] == "it has 20x16 pixels, 20x15 or more"


def test_files_of_others_are_not_replaced(here: Path) -> None:
    Path("out").mkdir()
    Path("out/0.png").write_bytes(b"precious")
    found = run_numbered()
    assert found["0.png"].endswith("0.png: exists already. Use `overwrite` to replace it.")
    assert Path("out/0.png").read_bytes() == b"precious"
    assert run_numbered(overwrite=True)["0.png"] == "made"


def test_a_result_that_was_edited_is_not_replaced() -> None:
    run_numbered()
    with Image.open("out/0.png") as image:
        image.rotate(90).save("out/0.png")
    edited = Path("out/0.png").read_bytes()
    assert "exists already" in run_numbered()["0.png"]
    assert "exists already" in run_numbered(scale=3)["0.png"]
    assert Path("out/0.png").read_bytes() == edited


def test_a_run_killed_before_its_result_replaced_an_older_one_goes_on(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row tells of a result that never came to lie there; what lies there is still ours."""
    import upscaler.inputs.storage as module

    run_numbered()
    before = tree(here / "out")

    def killed(part: Path, output: Path, overwrite: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "place", killed)
    with pytest.raises(KeyboardInterrupt):
        run_numbered(scale=3)
    assert tree(here / "out") == before
    monkeypatch.undo()
    monkeypatch.chdir(here)
    found = run_numbered(scale=3)
    assert [found[name] for name in GOOD] == ["made"] * 6


def test_a_result_that_took_its_name_before_that_was_noted_is_done(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import upscaler.inputs.storage as module

    place = module.place

    def killed(part: Path, output: Path, overwrite: bool) -> None:
        place(part, output, overwrite)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "place", killed)
    with pytest.raises(KeyboardInterrupt):
        run_numbered()
    made = set(tree(here / "out"))
    assert made
    monkeypatch.undo()
    monkeypatch.chdir(here)
    found = run_numbered()
    assert {name for name in GOOD if found[name] == "kept"} == {Path(name).name for name in made}


def test_rows_say_what_computed_and_a_change_of_device_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    run_numbered()
    with closing(sqlite3.connect("out/.upscaler/manifest.sqlite")) as database:
        found = set(database.execute("SELECT device, precision FROM pictures WHERE outcome = 'made'"))
        assert found == {("cpu", "fp32")}
        database.execute("UPDATE pictures SET device = 'cuda:1' WHERE outcome = 'made'")
        database.commit()
    Path("out/2.png").unlink()
    Path("out/deep/1.png").unlink()
    caplog.clear()
    second = run_numbered()
    assert {name for name in GOOD if second[name] == "made"} == {"2.png", "1.png"}
    assert [record.getMessage() for record in caplog.records if "were made on" in record.getMessage()] == [
        "some pictures of this job were made on cuda before, and others are made on cpu now, which may differ by "
        "some levels. Pass `device` to go on as before, or `force` to make all again."
    ]
    caplog.clear()
    Path("out/2.png").unlink()
    assert run_numbered()["2.png"] == "made"
