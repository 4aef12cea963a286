"""Which files of folders and globs are taken, and which are left alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.inputs.conftest import PLAIN, TAG, outputs, picture, skipped
from upscaler.errors import PlanError
from upscaler.inputs.discover import find_jobs

pytestmark = pytest.mark.usefixtures("here")


def test_include_takes_only_what_matches() -> None:
    found = find_jobs(["in"], "out", PLAIN, TAG, include=["*.PNG", "DEEP/*"])
    assert outputs(found) == {"in/b.PNG": "out/b.PNG", "in/deep/c.webp": "out/deep/c.webp"}
    assert skipped(found) == {"in/a.jpg": "left out by `include`", "in/notes.txt": "left out by `include`"}
    assert list(outputs(find_jobs(["in"], "out", PLAIN, TAG, include=["c.*"]))) == ["in/deep/c.webp"]


def test_exclude_wins_over_include() -> None:
    found = find_jobs(["in"], "out", PLAIN, TAG, include=["*.jpg", "*.png"], exclude=["A.*"])
    assert list(outputs(found)) == ["in/b.PNG"]
    assert skipped(found)["in/a.jpg"] == "left out by `exclude`"


@pytest.mark.parametrize("pattern", ["deep", "deep/", "DEEP", "d??p", "**/deep", "[d]*"])
def test_excluded_folder_is_not_entered(here: Path, pattern: str) -> None:
    picture(here / "in/deep/deeper/e.png")
    found = find_jobs(["in"], "out", PLAIN, TAG, exclude=[pattern])
    assert list(outputs(found)) == ["in/a.jpg", "in/b.PNG"]
    assert skipped(found) == {"in/deep": "left out by `exclude`", "in/notes.txt": "not a picture"}


def test_filters_count_from_the_folder_that_was_named(here: Path) -> None:
    shutil.copytree("in", "more/in")
    assert "in/a.jpg" in outputs(find_jobs(["in", "more"], "out", PLAIN, TAG, exclude=["in/a.jpg"]))
    assert "more/in/a.jpg" not in outputs(find_jobs(["in", "more"], "out", PLAIN, TAG, exclude=["in/a.jpg"]))
    assert list(outputs(find_jobs(["in"], "out", PLAIN, TAG, include=["**/*.jpg", "**/deep/*.webp"]))) == [
        "in/a.jpg",
        "in/deep/c.webp",
    ]
    assert list(outputs(find_jobs(["in"], "out", PLAIN, TAG, exclude=["*/*"]))) == ["in/a.jpg", "in/b.PNG"]


@pytest.mark.parametrize("inputs", [["in/*"], ["in/**"], ["in/**/*.*"], ["i?"], ["in", "in/*/*"]])
def test_filters_hold_for_globs_and_the_folders_they_find(inputs: list[str]) -> None:
    found = find_jobs(inputs, "out", PLAIN, TAG, exclude=["deep", "b.png"])
    assert list(outputs(found)) == ["in/a.jpg"]
    assert [item.path.as_posix() for item in found.skipped].count("in/deep") == 1


def test_filters_do_not_hold_for_what_is_named() -> None:
    found = find_jobs(["in", "in/a.jpg", "in/deep"], "out", PLAIN, TAG, exclude=["a.jpg", "deep", "b.*"])
    assert sorted(outputs(found)) == ["in/a.jpg", "in/deep/c.webp"]
    assert "in/a.jpg" not in skipped(found)


def test_filters_that_leave_nothing_say_so() -> None:
    with pytest.raises(PlanError, match=r"^in: there is no picture in there that passes `include` and `exclude`\.$"):
        find_jobs(["in"], None, PLAIN, TAG, include=["*.tif"])


@pytest.mark.parametrize("pattern", ["", "/"])
def test_empty_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PlanError, match=rf"^include='{pattern}': an empty pattern matches nothing"):
        find_jobs(["in"], None, PLAIN, TAG, include=["*", pattern])
    with pytest.raises(PlanError, match=rf"^exclude='{pattern}': an empty pattern matches nothing"):
        find_jobs(["in"], None, PLAIN, TAG, exclude=[pattern])


def test_result_of_an_excluded_source_is_a_result(here: Path) -> None:
    picture(here / "in/a_4x.jpg")
    assert list(outputs(find_jobs(["in"], None, PLAIN, TAG, exclude=["a.jpg", "deep"]))) == ["in/b.PNG"]
    assert list(outputs(find_jobs(["in"], None, PLAIN, TAG, include=["*_4x*"]))) == ["in/a_4x.jpg"]
