"""`upscaler info`: what a picture is, and what made it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("one_thread", "own_folder")


def test_info_says_what_a_picture_is_and_what_made_it(run: Run, drawing: tuple[str, ...]) -> None:
    options = ("--seed", "5", "--negative", "dark", "-s", "2", "-m", "lanczos", "-o", "a.webp")
    assert run("generate", "a red circle", *drawing, *options).code == 0
    done = run("info", "a.webp")
    said = dict(line.split(maxsplit=1) for line in done.out.decode().splitlines() if line)
    assert done.code == 0, done.err
    assert said["format"] == "WEBP"
    assert said["size"] == "144x128, 0.02 megapixels"
    assert said["channels"] == "RGB; 8 bits each"
    assert said["prompt"] == "a red circle"
    assert said["negative"] == "dark"
    assert said["steps"] == "1"
    assert said["generated"] == "72x64"
    assert said["by"] == "lanczos"
    assert said["target"] == "scale 2"


def test_info_shows_a_photo_and_the_texts_of_other_programs(run: Run, here: Path) -> None:
    done = run("info", here / "a.jpg")
    assert done.code == 0, done.err
    assert "60x40" in done.out.decode()
    assert "prompt" not in done.out.decode()
    from PIL import Image, PngImagePlugin

    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a cat\nNegative prompt: \nSteps: 4, Seed: 1, Size: 60x40")
    Image.open(here / "a.jpg").save(here / "text.png", pnginfo=texts)
    lines = run("info", here / "text.png").out.decode().splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("parameters")] == [
        "a cat",
        "Negative prompt:",
        "Steps: 4, Seed: 1, Size: 60x40",
    ]
