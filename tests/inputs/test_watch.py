"""Watching: what arrives is given once, complete, and again when it has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from upscaler.inputs import watch
from upscaler.inputs.discover import Job
from upscaler.inputs.watch import watch_folders


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Iterator[list[str]]]:
    """The names of what arrives in tmp_path, below it too."""

    def look() -> list[Job]:
        return [Job(path, Path()) for path in sorted(tmp_path.rglob("*.txt"))]

    jobs = watch_folders([tmp_path], look, settled=0.3)
    yield ([job.source.name for job in group] for group in jobs)
    jobs.close()


def test_what_is_there_comes_first_and_what_arrives_follows(tmp_path: Path, given: Iterator[list[str]]) -> None:
    (tmp_path / "a.txt").write_text("a")
    assert next(given) == ["a.txt"]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/b.txt").write_text("b")
    assert next(given) == ["b.txt"]
    (tmp_path / "a.txt").write_text("another")
    assert next(given) == ["a.txt"]


def test_a_file_is_given_when_it_is_complete(tmp_path: Path, given: Iterator[list[str]]) -> None:
    def write_slowly() -> None:
        with (tmp_path / "slow.txt").open("w") as file:
            for _ in range(12):
                file.write("part")
                file.flush()
                time.sleep(0.1)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert next(given) == ["slow.txt"]
    assert (tmp_path / "slow.txt").read_text() == "part" * 12
    writer.join()


def test_a_file_that_vanishes_before_it_is_complete_is_forgotten(tmp_path: Path, given: Iterator[list[str]]) -> None:
    (tmp_path / "a.txt").write_text("a")

    def replace() -> None:
        time.sleep(0.1)
        (tmp_path / "a.txt").unlink()
        (tmp_path / "b.txt").write_text("b")

    other = threading.Thread(target=replace)
    other.start()
    assert next(given) == ["b.txt"]
    other.join()


def test_what_nobody_tells_of_is_found_too(
    tmp_path: Path, given: Iterator[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network drive nothing is told of what other computers write."""
    monkeypatch.setattr(watch._Watcher, "on_any_event", lambda *_: None)
    monkeypatch.setattr(watch, "RESCAN_AFTER", 0.2)
    (tmp_path / "a.txt").write_text("a")
    assert next(given) == ["a.txt"]
    later = threading.Timer(0.3, (tmp_path / "b.txt").write_text, ("b",))
    later.start()
    assert next(given) == ["b.txt"]


def test_folders_are_searched_when_something_happened_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be ten thousand files: to look whether one of them is complete is no reason to search for all."""
    monkeypatch.setattr(watch, "POLL", 0.01)
    searches: list[float] = []

    def look() -> list[Job]:
        searches.append(time.monotonic())
        return [Job(path, Path()) for path in tmp_path.glob("*.txt")]

    (tmp_path / "a.txt").write_text("a")
    jobs = watch_folders([tmp_path], look, settled=0.5)
    assert [job.source.name for job in next(jobs)] == ["a.txt"]
    assert len(searches) < 5  # some systems tell of what happened just before, too
    jobs.close()
