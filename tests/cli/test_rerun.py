"""`upscaler rerun`: the same picture again from the file itself, or another one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run, sizes
from upscaler import codecs

pytestmark = pytest.mark.usefixtures("one_thread", "own_folder")


@pytest.mark.parametrize("name", ["poster.png", "poster.jpg"])
def test_rerun_makes_the_same_picture_from_the_file_itself(run: Run, drawing: tuple[str, ...], name: str) -> None:
    options = ("--seed", "5", "--negative", "dark", "--style", "watercolour", "-s", "2", "-m", "lanczos")
    done = run("generate", "a red circle", *drawing, *options, "-o", name)
    assert done.code == 0, done.err
    assert "144x128" in done.err
    done = run("rerun", name, "-d", "cpu")
    assert done.code == 0, done.err
    assert "the same, pixel by pixel." in done.err
    again = Path(name).with_stem("poster_again")
    assert np.array_equal(codecs.decode(name).pixels, codecs.decode(again).pixels)
    assert again.read_bytes() == Path(name).read_bytes()


def test_rerun_changes_what_is_asked_and_nothing_else(run: Run, drawing: tuple[str, ...]) -> None:
    done = run("generate", "a red circle", *drawing, "--seed", "5", "-s", "2", "-m", "lanczos", "-o", "a.png")
    assert done.code == 0, done.err
    first = codecs.decode("a.png").pixels
    changes = {
        "larger.png": ("--scale", "3"),
        "other.png": ("--seed", "6"),
        "plain.png": ("--no-upscale",),
        "scenes.png": ("--generator", "scenes"),
        "wide.png": ("--aspect", "2:1", "--size", "64x64"),
    }
    for name, options in changes.items():
        done = run("rerun", "a.png", "-o", name, "-d", "cpu", *options)
        assert done.code == (2 if name == "wide.png" else 0), done.err
    assert "--size and --aspect exclude each other. Choose one of them" in done.err
    assert sizes(Path()) == {
        "a.png": (144, 128),
        "larger.png": (216, 192),
        "other.png": (144, 128),
        "plain.png": (72, 64),
        "scenes.png": (144, 128),
    }
    assert not np.array_equal(first, codecs.decode("other.png").pixels)
    done = run("info", "other.png")
    assert "seed                  6\n" in done.out.decode()


def test_embedded_generator_and_network_make_a_poster_and_make_it_again(run: Run) -> None:
    done = run("generate", "a red circle on a blue ground", "-d", "cpu", "--offline", "-s", "4", "-o", "out.png")
    assert done.code == 0, done.err
    assert "scenes draws, the best of those that are on this machine" in done.err
    assert sizes(Path()) == {"out.png": (1024, 1024)}
    again = run("rerun", "out.png", "-o", "again.png")
    assert again.code == 0, again.err
    first, second = (codecs.decode(name).pixels for name in ("out.png", "again.png"))
    assert np.array_equal(first, second)
    middle, corner = first[480:544, 480:544].mean((0, 1)), first[:64, :64].mean((0, 1))
    assert middle[0] > middle[2] + 80
    assert corner[2] > corner[0] + 80


def test_picture_for_paper_is_generated_and_made_again_as_large(run: Run, drawing: tuple[str, ...]) -> None:
    done = run("generate", "a red circle", *drawing, "--print", "10x15cm@50", "-m", "lanczos", "-o", "a.png")
    assert done.code == 0, done.err
    said = run("info", "a.png").out.decode()
    assert "target                print width 100, height 150, dpi 50" in said
    assert "resolution  50.01 x 50.01 dpi" in said
    assert "the same, pixel by pixel." in run("rerun", "a.png", "-d", "cpu").err
    assert run("rerun", "a.png", "-d", "cpu", "--print", "a6@50", "-o", "b.png").code == 0
    assert sizes(Path()) == {"a.png": (222, 197), "a_again.png": (222, 197), "b.png": (233, 207)}


def test_diffusion_enlarges_as_it_is_told_and_tells_it_to_rerun(run: Run, drawing: tuple[str, ...], x4: Path) -> None:
    told = ("--upscale-prompt", "a cat", "--upscale-steps", "2", "--creativity", "0.5")
    done = run("generate", "a red circle", *drawing, "-m", x4, "-s", "2", *told, "-o", "a.png")
    assert done.code == 0, done.err
    assert "prompt a cat, creativity 0.5, steps 2" in run("info", "a.png").out.decode()
    assert "the same, pixel by pixel." in run("rerun", "a.png", "-d", "cpu").err
    done = run("rerun", "a.png", "-d", "cpu", "--creativity", "0.1", "-o", "b.png")
    assert done.code == 0, done.err
    assert "prompt a cat, creativity 0.1, steps 2" in run("info", "b.png").out.decode()
    done = run("rerun", "a.png", "-d", "cpu", "-m", "lanczos", "-o", "c.png")
    assert done.code == 0, done.err
    assert sizes(Path())["c.png"] == (144, 128)


def test_rerun_of_a_picture_that_was_enlarged_later_says_what_it_makes(run: Run, drawing: tuple[str, ...]) -> None:
    assert run("generate", "a red circle", *drawing, "--no-upscale", "-o", "a.png").code == 0
    assert run("upscale", "a.png", "-m", "lanczos", "-s", "2", "-o", "b.png").code == 0
    done = run("rerun", "b.png", "-d", "cpu")
    assert done.code == 0, done.err
    assert "warning: b.png has 144x128 pixels, and had 72x64 when it was made." in done.err
    assert "not the same" not in done.err
    assert np.array_equal(codecs.decode("b_again.png").pixels, codecs.decode("a.png").pixels)
    done = run("rerun", "b.png", "-d", "cpu", "-m", "lanczos", "-s", "2", "-o", "c.png")
    assert (done.code, "warning" in done.err) == (0, False)
    assert np.array_equal(codecs.decode("c.png").pixels, codecs.decode("b.png").pixels)
    assert "the same, pixel by pixel." in run("rerun", "c.png", "-d", "cpu").err


def test_a_stripped_picture_cannot_be_rerun(run: Run, drawing: tuple[str, ...]) -> None:
    assert run("generate", "a red circle", *drawing, "--no-upscale", "--strip", "-o", "a.png").code == 0
    done = run("rerun", "a.png")
    assert done.code == 1
    assert "a.png does not say what made it." in done.err
