"""`--all-frames`: exit codes, sentences, and what is said of frames."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.codecs import animated
from tests.codecs.test_book import book
from tests.codecs.test_pdf import pdf, scan

L = ("-m", "lanczos", "-s", "2")

pytestmark = pytest.mark.usefixtures("one_thread", "own_folder")


def test_an_animation_becomes_an_animation(run: Run, tmp_path: Path) -> None:
    animated.animation(Path("in.gif"))
    done = run("in.gif", *L, "--all-frames", "--report", "report.json")
    assert done.code == 0, done.err
    assert done.err.startswith("in_2x.gif  96x80  5 frames or pages  ")
    assert len(animated.shown(Path("in_2x.gif"))) == 5
    assert [row["frames"] for row in json.loads(Path("report.json").read_text())] == [5]


def test_without_the_option_the_first_frame_is_made(run: Run) -> None:
    animated.animation(Path("in.gif"))
    done = run("in.gif", *L)
    assert done.code == 0
    assert "there are 5 frames or pages; the first is used." in done.err
    assert len(animated.shown(Path("in_2x.png"))) == 1


@pytest.mark.parametrize("options", [("-o", "out.jpg"), ("-f", "jpg"), ("-f", "jpg", "-o", "out/")])
def test_a_format_that_holds_one_picture_is_wrong_usage(run: Run, options: tuple[str, ...]) -> None:
    animated.animation(Path("in.gif"))
    done = run("in.gif", *L, "--all-frames", *options)
    assert done.code == 2
    assert done.err == (
        "error: JPEG holds one picture, not several frames or pages. Choose one of .png, .webp, .tif, .avif, .gif, or "
        "leave out --all-frames.\n"
    )
    assert [path.name for path in Path().iterdir() if path.is_file()] == ["in.gif"]


def test_pipes_are_refused(run: Run) -> None:
    done = run("-", "--all-frames", stdin=b"GIF89a")
    assert (done.code, done.err) == (2, "error: --all-frames works from file to file, not with -.\n")


def test_frames_of_strangers_are_refused(run: Run) -> None:
    animated.animation(Path("in.gif"))
    book(Path("in.cbz"))
    done = run("in.gif", *L, "--all-frames", "--untrusted")
    assert (done.code, done.err) == (
        2,
        "error: pictures of strangers are read one by one, not frame by frame. Leave out --untrusted.\n",
    )
    done = run("in.cbz", *L, "--untrusted")
    assert (done.code, done.err) == (1, "error: in.cbz: CBZ is not read from strangers. Leave out --untrusted.\n")
    assert run("info", "in.gif", "--untrusted").code == 0


def test_a_dry_run_says_how_many(run: Run) -> None:
    animated.animation(Path("in.webp"))
    done = run("in.webp", *L, "--all-frames", "--dry-run")
    assert b"in.webp 48x40 -> in_2x.webp 96x80, 5 frames or pages: lanczos" in done.out
    assert [path.name for path in Path().iterdir() if path.is_file()] == ["in.webp"]


def test_gif_is_written_with_the_option_only(run: Run) -> None:
    animated.animation(Path("in.webp"))
    assert run("in.webp", *L, "-o", "out.gif").code == 2
    assert run("in.webp", *L, "-o", "out.gif", "--all-frames").code == 0
    assert len(animated.shown(Path("out.gif"))) == 5


def test_info_says_how_many(run: Run) -> None:
    animated.animation(Path("in.gif"), loop=0)
    animated.document(Path("in.tif"))
    animated.animation(Path("one.png"), count=1)
    said = [run("info", name).out.decode().splitlines() for name in ("in.gif", "in.tif", "one.png")]
    found = [[line.split(maxsplit=1)[1] for line in lines if line.startswith("holds")] for lines in said]
    assert found == [["5 frames, 0.58 s, shown for ever"], ["3 pages"], []]


def test_a_book_needs_no_option(run: Run) -> None:
    book(Path("in.cbz"))
    done = run("in.cbz", *L)
    assert done.code == 0, done.err
    assert done.err.startswith("in_2x.cbz  96x80  5 frames or pages  ")
    with zipfile.ZipFile("in_2x.cbz") as archive:
        assert archive.namelist()[1] == "chapter 2/p10.jpg"


def test_a_folder_of_books_and_pictures_is_made(run: Run) -> None:
    Path("in/deep").mkdir(parents=True)
    book(Path("in/deep/a.cbz"))
    animated.animation(Path("in/b.png"), count=1)
    Path("in/c.zip").write_bytes(Path("in/deep/a.cbz").read_bytes())
    done = run("in", *L, "-o", "out")
    assert done.code == 0, done.err
    assert "in/c.zip: skipped, not a picture." in done.err
    assert sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.*") if path.is_file())[-2:] == [
        "b.png",
        "deep/a.cbz",
    ]
    assert "2 done before" in run("in", *L, "-o", "out").err


@pytest.mark.parametrize("options", [("-o", "out.jpg"), ("-o", "out.png")])
def test_a_book_becomes_no_picture(run: Run, options: tuple[str, ...]) -> None:
    book(Path("in.cbz"))
    done = run("in.cbz", *L, *options)
    assert done.code == 2
    assert done.err.startswith("error: in.cbz: its pages become a file of the same kind (.cbz), not ")


def test_info_tells_of_a_book(run: Run) -> None:
    book(Path("in.cbz"))
    lines = run("info", "in.cbz").out.decode().splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines[:2]] == ["in.cbz", "5 pages"]


def test_a_pdf_is_made_when_it_is_named_and_in_folders_with_the_option(run: Run) -> None:
    pytest.importorskip("pypdfium2")
    Path("in").mkdir()
    pdf(Path("in/a.pdf"), scan(0), scan(1))
    animated.animation(Path("in/b.png"), count=1)
    done = run("in", *L, "-o", "out")
    assert done.code == 0, done.err
    assert "in/a.pdf: skipped, a PDF file; name it, or use --all-frames." in done.err
    assert run("in", *L, "-o", "out", "--all-frames").code == 0
    assert Path("out/a.pdf").exists()
    done = run("in/a.pdf", *L, "-o", "b.pdf")
    assert done.code == 0, done.err
    assert done.err.startswith("b.pdf  96x80  2 frames or pages  ")
    assert Path("b.pdf").read_bytes() == Path("out/a.pdf").read_bytes()
    assert run("in/a.pdf", *L, "-o", "b.jpg").code == 2
