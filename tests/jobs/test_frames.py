"""All frames of an animation or document: enlarged one by one, kept until the last is done, resumed."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.codecs import animated
from tests.codecs.checks import off
from tests.codecs.test_book import book, page
from tests.codecs.test_pdf import pdf, scan
from upscaler import PlanError, Target, Upscaler
from upscaler.codecs import EncodeOptions
from upscaler.inputs.discover import find_jobs
from upscaler.jobs import report
from upscaler.jobs.batch import run
from upscaler.jobs.frames import Spool
from upscaler.jobs.manifest import FOLDER
from upscaler.jobs.outcome import Outcome
from upscaler.picture import Picture
from upscaler.pipeline import Pipeline


def enlarge(source: Path, output: str, folder: bool = True, **options: Any) -> Outcome:
    found = find_jobs([str(source)], output, EncodeOptions(all_frames=True, **options), "")
    (outcome,) = run(Pipeline("lanczos"), found.jobs, Target(scale=2), folder=found.folder)
    return outcome


@pytest.mark.parametrize("has_alpha", [False, True], ids=["opaque", "transparent"])
@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "avif"])
def test_every_frame_is_what_enlarging_it_alone_gives(suffix: str, has_alpha: bool, tmp_path: Path) -> None:
    source = animated.animation(tmp_path / f"in.{suffix}", has_alpha)
    output = tmp_path / f"out.{suffix}"
    outcome = enlarge(source, str(output))
    assert outcome.error is None
    assert (outcome.frames, str(outcome.size)) == (5, "96x80")
    assert animated.facts(output) == animated.facts(source)
    upscaler = Upscaler("lanczos")
    for found, before in zip(animated.shown(output), animated.shown(source), strict=True):
        alone = upscaler(before if has_alpha else before[:, :, :3], 2).pixels
        if has_alpha:
            hard = 255 * (alone[:, :, 3] >= 128) if suffix == "gif" else alone[:, :, 3]
            assert off(found[:, :, 3], hard.astype(np.uint8)) <= (1.5 if suffix in ("gif", "avif") else 0)
        seen = found[:, :, 3] == 255
        if has_alpha:
            seen &= alone[:, :, 3] == 255
        assert off(found[seen][:, :3], alone[seen][:, :3]) <= (0 if suffix == "png" else 4)


def test_every_page_is_what_enlarging_it_alone_gives(tmp_path: Path) -> None:
    source = animated.document(tmp_path / "in.tif")
    outcome = enlarge(source, str(tmp_path / "out.tif"))
    assert outcome.frames == 3
    upscaler = Upscaler("lanczos")
    for number, (found, before) in enumerate(
        zip(animated.shown(tmp_path / "out.tif"), animated.shown(source), strict=True)
    ):
        assert found.shape[:2] == (2 * before.shape[0], 2 * before.shape[1])
        alone = upscaler(before[:, :, :3], 2).pixels
        assert off(found[:, :, :3], alone) <= (2 if number == 1 else 0)  # that page is a JPEG


def test_nothing_is_left_beside_the_result(tmp_path: Path) -> None:
    animated.animation(tmp_path / "in.gif")
    enlarge(tmp_path / "in.gif", str(tmp_path / "out.gif"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.gif", "out.gif"]
    enlarge(tmp_path / "in.gif", f"{tmp_path / 'folder'}{os.sep}")
    assert sorted(path.name for path in (tmp_path / "folder" / FOLDER).iterdir()) == ["lock", "manifest.sqlite"]


MAKERS: dict[str, Callable[[Path], Path]] = {
    "gif": animated.animation,
    "tif": animated.document,
    "cbz": lambda path: book(path, {f"{number}.png": page(number, "png") for number in range(3)}),
    "pdf": lambda path: pdf(path, *map(scan, range(3))),
}


KILLED = """
import os, signal, sys
from upscaler import Target
from upscaler.codecs import EncodeOptions
from upscaler.inputs.discover import find_jobs
from upscaler.jobs.batch import run
from upscaler.pipeline import Pipeline
original, at = Pipeline.run, []
def killing(self, *arguments, **options):
    at.append(1)
    if len(at) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, *arguments, **options)
Pipeline.run = killing
found = find_jobs([sys.argv[1]], sys.argv[2], EncodeOptions(all_frames=True), "")
list(run(Pipeline("lanczos"), found.jobs, Target(scale=2), folder=found.folder))
"""


def count_runs(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[str]:
    """Notes the names of the pictures that are enlarged, and raises at one of them."""
    names: list[str] = []
    original = Pipeline.run

    def counted(self: Pipeline, source: Picture, *arguments: Any, **options: Any) -> Picture:
        names.append(source.name)
        if len(names) == stop_at:
            raise KeyboardInterrupt
        return original(self, source, *arguments, **options)

    monkeypatch.setattr(Pipeline, "run", counted)
    return names


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing else ends a process at once")
@pytest.mark.parametrize("into_folder", [True, False], ids=["with a manifest", "without"])
@pytest.mark.parametrize("suffix", ["gif", "tif", "cbz", "pdf"])
def test_a_killed_job_goes_on_where_it_was(
    suffix: str, into_folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / f"in.{suffix}"
    MAKERS[suffix](source)
    output = f"{tmp_path}/out/" if into_folder else str(tmp_path / f"out.{suffix}")
    result = tmp_path / "out" / source.name if into_folder else Path(output)
    enlarge(source, str(tmp_path / f"right.{suffix}"))
    done = subprocess.run([sys.executable, "-c", KILLED, str(source), output], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not result.exists()
    names = count_runs(monkeypatch)
    assert enlarge(source, output).error is None
    assert len(names) == (3 if suffix == "gif" else 1)  # of five, or three
    assert result.read_bytes() == (tmp_path / f"right.{suffix}").read_bytes()


def test_frames_of_other_settings_or_another_source_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = animated.animation(tmp_path / "in.gif")
    with monkeypatch.context() as patch:
        count_runs(patch, stop_at=4)
        with pytest.raises(KeyboardInterrupt):
            enlarge(source, str(tmp_path / "out.gif"))
    with monkeypatch.context() as patch:
        names = count_runs(patch, stop_at=3)
        with pytest.raises(KeyboardInterrupt):
            enlarge(source, str(tmp_path / "out.gif"), strip=True)
        assert len(names) == 3
    animated.animation(source, has_alpha=True)
    names = count_runs(monkeypatch)
    assert enlarge(source, str(tmp_path / "out.gif"), strip=True).error is None
    assert len(names) == 5


def test_a_done_animation_is_not_made_again(tmp_path: Path) -> None:
    source = animated.animation(tmp_path / "in.gif")
    assert not enlarge(source, f"{tmp_path}/out/").was_done
    assert enlarge(source, f"{tmp_path}/out/").was_done


def test_a_damaged_page_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    source = animated.animation(tmp_path / "in.png")
    source.write_bytes(source.read_bytes()[:-150])
    outcome = enlarge(source, str(tmp_path / "out.png"))
    assert outcome.error is not None
    assert outcome.error.startswith(f"{source}, frame 4: the file is damaged")
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


@pytest.mark.parametrize("output", ["out.jpg", "out.bmp"])
def test_a_format_for_one_picture_is_refused_before_anything_is_read(output: str, tmp_path: Path) -> None:
    source = animated.animation(tmp_path / "in.gif")
    with pytest.raises(PlanError, match=r"holds one picture, not several frames or pages\. .*`all_frames`"):
        enlarge(source, str(tmp_path / output))


def test_an_animation_that_shall_become_pages_is_refused(tmp_path: Path) -> None:
    source = animated.animation(tmp_path / "in.gif")
    outcome = enlarge(source, str(tmp_path / "out.tif"))
    assert outcome.error == (
        f"{tmp_path / 'out.tif'}: TIFF cannot hold the 5 frames of this GIF file. Choose .gif, .png, .webp or .avif, "
        "or leave out `all_frames`."
    )


def test_a_single_picture_cannot_become_a_gif(tmp_path: Path) -> None:
    Picture(animated.frame(0)).save(tmp_path / "in.png")
    outcome = enlarge(tmp_path / "in.png", str(tmp_path / "out.gif"))
    assert outcome.error is not None
    assert "in.png is one picture, and GIF is only written of several." in outcome.error


def test_folders_hold_both_and_without_the_option_all_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    animated.animation(tmp_path / "in/a.gif")
    Picture(animated.frame(0)).save(tmp_path / "in/b.jpg")
    for all_frames, names in ((False, ["a.png", "b.jpg"]), (True, ["a.gif", "b.jpg"])):
        found = find_jobs([str(tmp_path / "in")], f"{tmp_path}/{all_frames}/", EncodeOptions(all_frames=all_frames), "")
        outcomes = list(run(Pipeline("lanczos"), found.jobs, Target(scale=2), folder=found.folder))
        assert [outcome.error for outcome in outcomes] == [None, None]
        assert sorted(path.name for path in (tmp_path / str(all_frames)).iterdir())[1:] == names
    assert len(animated.shown(tmp_path / "False/a.png")) == 1


def test_progress_counts_all_frames_and_never_goes_back(tmp_path: Path) -> None:
    source = animated.animation(tmp_path / "in.gif")
    seen: list[tuple[int, int | None]] = []
    upscaler = Upscaler("lanczos", tile=24)
    outcome = upscaler.enlarge_file(
        source, tmp_path / "out.gif", scale=2, progress=lambda _: lambda done, total: seen.append((done, total))
    )
    assert outcome.error is None
    counts = [done for done, _ in seen]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert seen[-1][0] == seen[-1][1]
    assert len({total for _, total in seen}) == 1


def test_the_report_says_how_many_frames(tmp_path: Path) -> None:
    outcome = enlarge(animated.animation(tmp_path / "in.gif"), str(tmp_path / "out.gif"))
    report.write(tmp_path / "report.csv", [outcome], [])
    with (tmp_path / "report.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["frames"] == "5"


def test_a_spool_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "frames").symlink_to(tmp_path / "elsewhere")
    outcome = enlarge(animated.animation(tmp_path / "in.gif"), str(tmp_path / "out.gif"))
    assert outcome.error is not None
    assert "this is a link, which may lead anywhere" in outcome.error
    assert not list((tmp_path / "elsewhere").iterdir())


def test_outputs_have_spools_of_their_own(tmp_path: Path) -> None:
    spools = {Spool.beside(tmp_path / name, "", {}).folder for name in ("a.gif", "b.gif")}
    assert len(spools) == 2


MEMORY = """
import re, sys
from pathlib import Path
from upscaler import Upscaler
outcome = Upscaler("lanczos").enlarge_file(sys.argv[1], sys.argv[2], scale=2)
assert outcome.error is None, outcome.error
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for the peak of memory")
@pytest.mark.parametrize(
    ("suffix", "many"), [("png", 24), *(pytest.param(each, 60, marks=pytest.mark.slow) for each in animated.SUFFIXES)]
)
def test_many_frames_take_no_more_memory_than_few(suffix: str, many: int, tmp_path: Path) -> None:
    """A frame of the result takes 3.2 MB: twenty more of them would be 64."""
    from PIL import Image

    peaks = []
    for count in (4, many):
        images = [Image.fromarray(animated.frame(number % 5, width=600, height=450)) for number in range(count)]
        source = tmp_path / f"{count}.{suffix}"
        images[0].save(source, save_all=True, append_images=images[1:])
        command = [sys.executable, "-c", MEMORY, str(source), str(tmp_path / f"out{count}.{suffix}")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 25, peaks


def test_a_source_that_changes_meanwhile_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = animated.animation(tmp_path / "in.gif")
    original = Pipeline.run

    def replaced(self: Pipeline, *arguments: Any, **options: Any) -> Picture:
        if len(animated.shown(source)) == 5:
            source.unlink()
            animated.animation(source, count=2)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Pipeline, "run", replaced)
    outcome = enlarge(source, str(tmp_path / "out.gif"))
    assert outcome.error is not None
    assert outcome.error == f"{source}: it has changed while it was enlarged."
