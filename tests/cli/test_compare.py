"""`upscaler compare`: what is written, and what is refused before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run

L = ("-m", "lanczos")


def test_a_sheet_lies_beside_its_picture(run: Run, here: Path) -> None:
    done = run("compare", "a.jpg", *L, "-m", "photo-fast", "-d", "cpu", "-q")
    assert (done.code, done.out, done.err) == (0, b"", "")
    with Image.open("a_compare.png") as image:
        assert image.width == 3 * 240 + 2 * 24 + 2 * 16


@pytest.mark.parametrize("name", ["x.jpg", "x.webp", "x.png"])
def test_the_name_says_the_format(run: Run, here: Path, name: str) -> None:
    done = run("compare", "a.jpg", *L, "-o", name, "--crop", "0,0,30x20", "--crop", "50%,50%,50%x50%")
    assert (done.code, done.err) == (0, f"{name}\n")
    with Image.open(name) as image:
        assert image.height > 2 * 80


def test_a_page_is_written_in_place_of_a_sheet_or_beside_it(run: Run, here: Path) -> None:
    before = set(here.iterdir())
    assert run("compare", "a.jpg", *L, "--html", "page.html").err == "page.html\n"
    assert set(here.iterdir()) - before == {here / "page.html"}
    assert "<!DOCTYPE html>" in Path("page.html").read_text()
    assert run("compare", "a.jpg", *L, "--html", "2.html", "-o", "x.png").err == "x.png\n2.html\n"


def test_what_was_written_is_shown(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("typer.launch", shown.append)
    assert run("compare", "a.jpg", *L, "-o", "x.png", "--open").code == 0
    assert shown == ["x.png"]


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["-m", "lancsos"], 2, "error: --model lancsos: no model has this name"),
        (["--crop", "0,0,5"], 2, "error: --crop 0,0,5: not a part of a picture."),
        (["--crop", "0,0,5x5", "--crops", "2"], 2, "error: --crop names the parts, and --crops has them found."),
        (["--crop", "50,0,20x5"], 2, "error: --crop 50,0,20x5: this part reaches to 70,5, beyond the picture"),
        (["--denoise", "much"], 2, "error: --denoise much: this is not a number between 0 and 1, nor auto."),
        (["--fidelity", "1.5"], 2, "error: --fidelity 1.5: the value must be between 0 and 1."),
        (["-s", "33"], 2, "error: --scale 33: more than 32 is not supported."),
        (["-o", "b.png"], 1, "error: b.png: exists already. Use --overwrite to replace it."),
        (["-o", "x.xyz"], 1, "error: x.xyz: no format is known for '.xyz'."),
        (["--html", "notes.txt"], 1, "error: notes.txt: exists already. Use --overwrite to replace it."),
        (["--html", "sub"], 1, "error: sub: this is a folder. Name a file."),
    ],
)
def test_what_cannot_be_is_one_sentence(run: Run, here: Path, options: list[str], code: int, sentence: str) -> None:
    before = sorted(here.rglob("*"))
    done = run("compare", "a.jpg", *L, *options)
    assert done.err.startswith(sentence)
    assert (done.code, len(done.err.splitlines())) == (code, 1)
    assert sorted(here.rglob("*")) == before


def test_nothing_is_fetched_that_is_not_named(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("fetched")

    monkeypatch.setenv("UPSCALER_HOME", str(here / "home"))
    monkeypatch.setattr("upscaler.catalog.store.fetch", refuse)
    assert run("compare", "a.jpg", "-d", "cpu", "--crop", "0,0,9x9", "-o", "x.png").code == 0
