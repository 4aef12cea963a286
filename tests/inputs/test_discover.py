"""Which files are read, what results are called, and what is refused before anything is computed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.inputs.conftest import PLAIN, TAG, outputs, picture, skipped
from upscaler.codecs import EncodeOptions, by_name
from upscaler.errors import OutputError, PlanError
from upscaler.inputs.discover import find_jobs, folder_for

pytestmark = pytest.mark.usefixtures("here")

links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


def test_folder_is_mirrored_in_order_of_name() -> None:
    found = find_jobs(["in"], "out", PLAIN, TAG)
    assert list(outputs(found).items()) == [
        ("in/a.jpg", "out/a.jpg"),
        ("in/b.PNG", "out/b.PNG"),
        ("in/deep/c.webp", "out/deep/c.webp"),
    ]
    assert skipped(found) == {"in/notes.txt": "not a picture"}


def test_without_output_results_lie_beside_their_sources() -> None:
    assert list(outputs(find_jobs(["in"], None, PLAIN, TAG)).values()) == [
        "in/a_4x.jpg",
        "in/b_4x.PNG",
        "in/deep/c_4x.webp",
    ]


def test_several_folders_keep_their_names(here: Path) -> None:
    shutil.copytree("in", "more")
    assert outputs(find_jobs(["in", "more"], "out", PLAIN, TAG))["in/a.jpg"] == "out/in/a.jpg"
    assert outputs(find_jobs(["in/", "./more"], "out", PLAIN, TAG))["more/deep/c.webp"] == "out/more/deep/c.webp"
    assert outputs(find_jobs(["in", "./in"], "out", PLAIN, TAG))["in/a.jpg"] == "out/a.jpg"
    os.chdir("more")
    assert outputs(find_jobs(["../in", "."], "../out", PLAIN, TAG))["../in/a.jpg"] == "../out/in/a.jpg"


def test_glob_is_mirrored_from_where_it_begins() -> None:
    assert outputs(find_jobs(["in/**/*.*"], "out", PLAIN, TAG)) == {
        "in/a.jpg": "out/a.jpg",
        "in/b.PNG": "out/b.PNG",
        "in/deep/c.webp": "out/deep/c.webp",
    }
    assert skipped(find_jobs(["in/*"], "out", PLAIN, TAG)) == {"in/notes.txt": "not a picture"}


def test_name_that_looks_like_a_pattern_is_a_name(here: Path) -> None:
    picture(here / "in/photo[1].jpg")
    picture(here / "in/photo1.jpg")
    assert list(outputs(find_jobs(["in/photo[1].jpg"], "out", PLAIN, TAG))) == ["in/photo[1].jpg"]


def test_what_is_named_twice_is_done_once() -> None:
    found = find_jobs(["in/a.jpg", "./in/a.jpg", "in/deep/../a.jpg", "in/a.*", "in"], "out", PLAIN, TAG)
    assert sorted(outputs(found).values()) == ["out/a.jpg", "out/b.PNG", "out/deep/c.webp"]


def test_hidden_file_is_taken_when_named() -> None:
    assert outputs(find_jobs(["in/.hidden.png"], "out", PLAIN, TAG)) == {"in/.hidden.png": "out/.hidden.png"}


def test_content_decides_the_format_and_the_suffix_follows(here: Path) -> None:
    picture(here / "in/is_png.jpg", "PNG")
    picture(here / "in/picture.gif")
    picture(here / "in/scan.v2", "JPEG")
    found = outputs(find_jobs(["in"], "out", PLAIN, TAG))
    assert found["in/is_png.jpg"] == "out/is_png.png"
    assert found["in/picture.gif"] == "out/picture.png"
    assert found["in/scan.v2"] == "out/scan.v2.jpg"
    webp = EncodeOptions(by_name("webp"))
    assert outputs(find_jobs(["in/a.jpg"], None, webp, TAG)) == {"in/a.jpg": "in/a_4x.webp"}


def test_output_may_be_a_file_a_folder_or_a_new_folder(here: Path) -> None:
    def path(output: str, template: EncodeOptions = PLAIN) -> str:
        return outputs(find_jobs(["in/a.jpg"], output, template, TAG))["in/a.jpg"]

    (here / "dir.png").mkdir()
    assert path("x.png") == "x.png"
    assert path("new") == "new/a.jpg"
    assert path("new.v2/") == "new.v2/a.jpg"
    assert path("dir.png") == "dir.png/a.jpg"
    assert path("x.data", EncodeOptions(by_name("png"))) == "x.data"


@pytest.mark.parametrize(
    ("inputs", "output", "sentence"),
    [
        (["in"], "x.png", "x.png: it is one file, where a folder is needed for in. Name a folder."),
        (["in/a.jpg", "in/b.PNG"], "in/notes.txt", "in/notes.txt: it is one file, where a folder is needed"),
        (["in/a.jpg"], "new.v2", "new.v2: .v2 is not a format that can be written"),
        (["in/a.jpg"], "x.gif", "x.gif: .gif is not a format that can be written"),
        (["in/deep/../.."], "in/notes.txt", "in/notes.txt: it is one file"),
        (["empty"], None, "empty: there is no picture in there."),
        ([""], None, "an empty name"),
        (["in"], "", "an empty name"),
    ],
)
def test_output_that_cannot_be_meant_is_refused(
    here: Path, inputs: list[str], output: str | None, sentence: str
) -> None:
    (here / "empty").mkdir()
    with pytest.raises(PlanError) as error:
        find_jobs(inputs, output, PLAIN, TAG)
    assert str(error.value).startswith(sentence)


def test_format_and_suffix_must_agree() -> None:
    with pytest.raises(PlanError, match=r"x\.jpg: its name says JPEG, but `format` says PNG"):
        find_jobs(["in/a.jpg"], "x.jpg", EncodeOptions(by_name("png")), TAG)


def test_two_results_of_one_name_are_refused(here: Path) -> None:
    picture(here / "in/a.bmp")
    found = find_jobs(["in"], "out", EncodeOptions(by_name("png")), TAG)
    problems = {str(job.source): job.problem for job in found.jobs if job.problem}
    said = "in/a.bmp and in/a.jpg: both would become out/a.png. Rename one of them."
    assert problems == {"in/a.bmp": said, "in/a.jpg": said}
    assert len(found.jobs) > 2
    with pytest.raises(PlanError, match=r"in/a\.bmp and in/a\.jpg: both would become out/a\.png"):
        find_jobs(["in/a.bmp", "in/a.jpg"], "out", EncodeOptions(by_name("png")), TAG)


def test_result_in_the_place_of_its_source_is_refused() -> None:
    with pytest.raises(PlanError, match=r"in/a\.jpg: it would be overwritten by its own result"):
        find_jobs(["in"], "in", EncodeOptions(overwrite=True), TAG)
    assert outputs(find_jobs(["in"], "in", EncodeOptions(by_name("bmp")), TAG))["in/a.jpg"] == "in/a.bmp"


def test_result_in_the_place_of_a_source_still_to_be_read_is_refused(here: Path) -> None:
    picture(here / "out/a.jpg")
    with pytest.raises(PlanError, match=r"out/a\.jpg: it would be overwritten by (the|its own) result"):
        find_jobs(["in/a.jpg", "out/a.jpg"], "out", EncodeOptions(overwrite=True), TAG)
    picture(here / "out/in/a.jpg")
    with pytest.raises(PlanError, match=r"out/in/a\.jpg: it would be overwritten by the result of in/a\.jpg"):
        find_jobs(["in", "out/in"], "out", EncodeOptions(overwrite=True), TAG)


@links
def test_link_to_the_source_is_its_source(here: Path) -> None:
    os.symlink("a.jpg", "in/link.jpg")
    with pytest.raises(PlanError, match=r"in/a\.jpg: it would be overwritten by its own result"):
        find_jobs(["in/a.jpg"], "in/link.jpg", EncodeOptions(overwrite=True), TAG)


@links
def test_links_to_folders_are_not_followed_and_loops_do_no_harm(here: Path) -> None:
    os.symlink("../in", "in/again")
    os.symlink("self", "in/self")
    os.symlink("nowhere.jpg", "in/broken.jpg")
    found = find_jobs(["in"], "out", PLAIN, TAG)
    assert skipped(found)["in/again"] == "a link to a folder"
    assert {"in/self", "in/broken.jpg"} < set(outputs(found))


@links
def test_pipe_in_a_folder_is_skipped(here: Path) -> None:
    os.mkfifo("in/pipe.jpg")
    assert skipped(find_jobs(["in"], "out", PLAIN, TAG))["in/pipe.jpg"] == "not a file"


def test_output_folder_inside_the_input_is_not_read(here: Path) -> None:
    picture(here / "in/out/a.jpg")
    found = find_jobs(["in"], "in/out", PLAIN, TAG)
    assert skipped(found)["in/out"] == "the output folder"
    assert "in/out/a.jpg" not in outputs(found)
    picture(here / "out/a.jpg")
    assert skipped(find_jobs(["*"], "out", PLAIN, TAG))["out"] == "the output folder"
    again = find_jobs(["in", "out"], "out", PLAIN, TAG)
    assert skipped(again)["out"] == "the output folder"
    assert outputs(again)["in/deep/c.webp"] == "out/deep/c.webp"


def test_hidden_folder_of_the_manifest_is_not_read(here: Path) -> None:
    picture(here / "in/.upscaler/a.png")
    for inputs in (["in"], ["in/**"], ["in/*", "in/*/*"]):
        assert not any(".upscaler" in path for path in outputs(find_jobs(inputs, "in/out", PLAIN, TAG)))


def test_template_names_results_in_their_places() -> None:
    name = "{parent}-{stem}_{scale}x{suffix}"
    assert list(outputs(find_jobs(["in"], "out", PLAIN, TAG, name=name, scale=4.0)).values()) == [
        "out/in-a_4x.jpg",
        "out/in-b_4x.PNG",
        "out/deep/deep-c_4x.webp",
    ]
    assert list(outputs(find_jobs(["in"], None, PLAIN, TAG, name="big {stem}{suffix}")).values()) == [
        "in/big a.jpg",
        "in/big b.PNG",
        "in/deep/big c.webp",
    ]
    assert outputs(find_jobs(["in/a.jpg"], "out", PLAIN, TAG, name="x{suffix}")) == {"in/a.jpg": "out/x.jpg"}


def test_template_that_makes_two_results_one_is_refused(here: Path) -> None:
    with pytest.raises(PlanError, match=r"in/a\.jpg and in/b\.jpg: both would .* in/x\.jpg.*, or change `name`\.$"):
        find_jobs(["in/a.jpg", str(picture(here / "in/b.jpg").relative_to(here))], None, PLAIN, TAG, name="x{suffix}")
    picture(here / "more/a.gif")
    picture(here / "more/a.png")
    with pytest.raises(PlanError, match=r"^more/a\.gif and more/a\.png: both would become out/a_2x\.png\."):
        find_jobs(["more"], "out", PLAIN, TAG, name="{stem}_2x{suffix}")


def test_template_that_names_the_source_is_refused() -> None:
    with pytest.raises(
        PlanError, match=r"^in/a\.jpg: it would be overwritten by its own result\. .*, or change `name`\.$"
    ):
        find_jobs(["in/a.jpg"], None, EncodeOptions(overwrite=True), TAG, name="{stem}{suffix}")


def test_template_beside_a_named_file_is_refused() -> None:
    with pytest.raises(PlanError, match=r"^name='{stem}{suffix}': the result has its name already, x\.png\."):
        find_jobs(["in/a.jpg"], "x.png", PLAIN, TAG, name="{stem}{suffix}")


def test_template_is_refused_before_anything_is_looked_for() -> None:
    with pytest.raises(PlanError, match=r"^name=''"):
        find_jobs(["nowhere/*"], None, PLAIN, TAG, name="")


@pytest.mark.parametrize(
    "name", ["big {stem}{suffix}", "{stem}@{scale}x{suffix}", "{stem}{{{format}}}-{parent}{suffix}"]
)
def test_second_run_by_template_leaves_the_results_of_the_first_alone(name: str) -> None:
    first = find_jobs(["in"], None, PLAIN, TAG, name=name, scale=2.5)
    for job in first.jobs:
        picture(job.output)
    for scale in (2.5, 4.0):
        second = find_jobs(["in"], None, PLAIN, TAG, name=name, scale=scale)
        assert list(outputs(second)) == list(outputs(first))
        assert {item.path for item in second.skipped if "earlier" in item.reason} == {job.output for job in first.jobs}


def test_results_of_earlier_runs_are_left_alone_beside_their_sources(here: Path) -> None:
    for name in ("a_4x.jpg", "a_2.5x.png", "b_upscaled.png", "deep/c_4x_2x.webp", "deep/c_4x.webp", "other_2x.png"):
        picture(here / "in" / name)
    found = find_jobs(["in"], None, PLAIN, TAG)
    assert sorted(outputs(found)) == ["in/a.jpg", "in/b.PNG", "in/deep/c.webp", "in/other_2x.png"]
    assert skipped(found)["in/deep/c_4x_2x.webp"] == "a result of an earlier run"
    assert outputs(find_jobs(["in/a_4x.jpg"], None, PLAIN, TAG)) == {"in/a_4x.jpg": "in/a_4x_4x.jpg"}
    assert "in/a_4x.jpg" in outputs(find_jobs(["in"], "out", PLAIN, TAG))


def test_folder_that_cannot_be_read_is_a_job_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find_jobs(["in"], "out", PLAIN, TAG)
    problems = [job.problem for job in found.jobs if job.problem]
    assert problems == [f"{Path('in/deep')}: the folder cannot be read (Permission denied)."]
    assert len(found.jobs) == 3


def test_input_that_does_not_exist_is_a_job_that_fails() -> None:
    assert list(outputs(find_jobs(["no.jpg", "no*.jpg", "in/a.jpg"], "out", PLAIN, TAG))) == [
        "no.jpg",
        "no*.jpg",
        "in/a.jpg",
    ]


def test_folder_for_an_output_is_the_nearest_there_is(here: Path) -> None:
    assert folder_for(Path("new/newer/x.png")) == here
    assert folder_for(here / "in/x.png") == here / "in"
    with pytest.raises(OutputError, match=r"x\.png: it cannot be written, for .*a\.jpg is not a folder"):
        folder_for(Path("in/a.jpg/x.png"))


def test_folder_that_allows_no_files_is_known_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match=r"out/x\.png: it cannot be written, for .* allows no new files"):
        folder_for(Path("out/x.png"))


STEMS = st.sampled_from(["a", "b", "a.b", "ü", "a_2x", " ", "[x]", "-"])
SUFFIXES = st.sampled_from([".jpg", ".JPG", ".png", ".gif", ".webp", ".v2", ""])
NAMES = st.builds(lambda folders, stem, suffix: "/".join([*folders, stem + suffix]), st.lists(STEMS), STEMS, SUFFIXES)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.sets(NAMES, min_size=1, max_size=6),
    output=st.sampled_from(["out/", "tree", None]),
    rule=st.sampled_from([None, None, "{stem}_2x{suffix}", "{parent}{stem}{stem}{suffix}", "{stem}{suffix}"]),
)
def test_no_result_is_lost_or_lies_elsewhere(here: Path, names: set[str], output: str | None, rule: str | None) -> None:
    shutil.rmtree("tree", ignore_errors=True)
    made = set()
    for name in names:
        path = here / "tree" / name
        if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
            made.add(picture(path, "PNG"))
    try:
        found = find_jobs(["tree"], output, PLAIN, TAG, name=rule)
    except PlanError as error:
        assert "both would become" in str(error) or "would be overwritten" in str(error)  # noqa: PT017
        return
    good = [job for job in found.jobs if job.problem is None]
    results = {job.output.absolute() for job in good}
    assert len(results) == len(good) > 0
    for job in found.jobs:
        assert job.problem is None or "both would become" in job.problem
    assert {job.source.absolute() for job in found.jobs} | {item.path.absolute() for item in found.skipped} == made
    assert not results & made
    assert all(here / (output or "tree") in path.parents and ".." not in path.parts for path in results)
