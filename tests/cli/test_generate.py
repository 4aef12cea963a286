"""From a prompt to a poster in one line, and the same again from the file: generate, info, rerun."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.conftest import Run, sizes
from tests.diffusion import tiny
from tests.diffusion.hub import Hub
from upscaler import codecs


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny-sd"
    tiny.build_sd().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def x4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny-x4"
    tiny.build_x4().save_pretrained(folder)
    return folder


@pytest.fixture
def drawing(model: Path) -> tuple[str, ...]:
    return "-g", str(model), "-d", "cpu", "--size", "72x64", "--steps", "1"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


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


def test_chosen_generator_is_named_with_the_reason_unless_quiet(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path / "home"))
    shutil.copytree(model, tmp_path / "home/mine")
    (tmp_path / "home/catalog.toml").write_text(
        '[[model]]\nname = "mine"\nkind = "generator"\ncommercial = true\nmemory = 1000000\nembedded = "mine"\n'
    )
    done = run("generate", "a cat", "-d", "cpu", "--size", "8x8")
    line = r"\S+ draws, the best of those that are on this machine and fit into [\d.]+ GB on cpu\. Another .*"
    assert re.fullmatch(line, done.err.splitlines()[0])
    assert " draws" not in run("generate", "a cat", "-d", "cpu", "--size", "8x8", "--quiet").err
    assert " draws" not in run("generate", "a cat", "-d", "cpu", "--size", "8x8", "-g", model).err


def test_wrong_names_are_said_before_anything_is_fetched(run: Run, model: Path) -> None:
    with Hub() as hub:
        hub.publish("tiny/sd", model)
        done = run("generate", "a cat", "-g", "tiny/sd", "-m", "nonsense")
        assert (done.code, "--model nonsense: no model has this name" in done.err) == (2, True)
        done = run("generate", "a cat", "-g", "tiny/sd", "--print", "60x90")
        assert (done.code, "--print 60x90: not a paper size." in done.err) == (2, True)
        assert hub.fetched() == []


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


def test_many_prompts_go_to_a_folder_with_a_sheet_and_a_report(run: Run, drawing: tuple[str, ...]) -> None:
    Path("prompts.csv").write_text("prompt,seed\na dog,9\na bird,\n")
    options = ("--prompts", "prompts.csv", "-n", "2", "--no-upscale", "-o", "out/", "--report", "report.json", "--grid")
    done = run("generate", *drawing, *options)
    assert done.code == 0, done.err
    names = ["a-bird_0.png", "a-bird_1.png", "a-dog_10.png", "a-dog_9.png"]
    assert sizes(Path("out")) == {**dict.fromkeys(names, (72, 64)), "grid.png": (168, 152)}
    assert "4 made" in done.err
    report = json.loads(Path("report.json").read_text())
    assert [(row["source"], row["outcome"]) for row in report] == [("a dog", "made")] * 2 + [("a bird", "made")] * 2
    done = run("generate", *drawing, *options)
    assert done.code == 0, done.err
    assert "4 done before" in done.err


def test_sheet_takes_the_place_of_no_other_file(run: Run, drawing: tuple[str, ...]) -> None:
    Path("grid.png").write_bytes(b"mine")
    done = run("generate", "a dog", "a bird", *drawing, "--no-upscale", "--grid")
    assert (done.code, "error: grid.png: exists already." in done.err) == (1, True), done.err
    assert [path.name for path in Path().iterdir()] == ["grid.png"]
    named = ("--name", "{slug}{suffix}", "-o", "out/")
    done = run("generate", "grid", "a bird", *drawing, "--no-upscale", "--grid", *named)
    assert (done.code, "grid.png is what one of the pictures is called." in done.err) == (2, True), done.err


def test_one_bad_picture_is_one_failure(run: Run, drawing: tuple[str, ...]) -> None:
    Path("prompts.jsonl").write_text('{"prompt": "a dog", "size": "8x8"}\n{"prompt": "a bird"}\n')
    done = run("generate", "--prompts", "prompts.jsonl", *drawing, "--no-upscale", "-o", "out/")
    assert done.code == 1
    assert "error: a dog: --size 8x8: " in done.err
    assert "1 made, 1 failed" in done.err
    assert list(sizes(Path("out"))) == ["a-bird_0.png"]


def test_a_stripped_picture_cannot_be_rerun(run: Run, drawing: tuple[str, ...]) -> None:
    assert run("generate", "a red circle", *drawing, "--no-upscale", "--strip", "-o", "a.png").code == 0
    done = run("rerun", "a.png")
    assert done.code == 1
    assert "a.png does not say what made it." in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "there is no prompt. Write one"),
        (("a cat", "-g", "nonsense"), "--generator nonsense: no model has this name"),
        (("a cat", "-g", "photo"), "photo: this model makes no pictures from text"),
        (("a cat", "-m", "nonsense"), "--model nonsense: no model has this name"),
        (("a cat", "--size", "8x8"), "--size 8x8: tiny-sd makes no pictures with a side under"),
        (("a cat", "--style", "watercolor"), "Did you mean watercolour?"),
        (("a cat", "--grid"), "--grid is for several pictures"),
        (("a cat", "-n", "2", "-o", "a.png"), "a.png: it is one file, where a folder is needed for 2 pictures."),
        (("a cat", "-s", "2", "--fit", "4k"), "--scale and --fit: choose one of them."),
        (("a cat", "--no-upscale", "-s", "2"), "--no-upscale and a size to enlarge to: pictures stay as they are"),
        (("a cat", "--no-upscale", "--keep-original"), "--no-upscale and --keep-original: pictures stay as they are"),
        (("a cat", "--upscale-steps", "2"), "photo is a network and takes no prompt, steps or seed."),
        (("a cat", "--format", "psd"), "--format psd: this format cannot be written."),
        (("a cat", "-q", "--progress"), "--quiet and --progress are opposites."),
        (("--prompts", "missing.txt"), "--prompts missing.txt: the file cannot be read"),
        (("a cat", "--report", "a.txt"), "its name must end in .json or .csv"),
    ],
)
def test_what_cannot_be_is_a_sentence(run: Run, model: Path, options: tuple[str, ...], words: str) -> None:
    generator = () if "-g" in options else ("-g", str(model))
    done = run("generate", *options, *generator, "-d", "cpu")
    assert (done.code, words in done.err) == (2, True), done.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("command", ["generate", "rerun", "info"])
def test_help_loads_neither_torch_nor_numpy(command: str) -> None:
    code = (
        "import sys; from upscaler.cli.app import main\n"
        f"sys.argv = ['upscaler', '{command}', '--help']\n"
        "try: main()\n"
        "except SystemExit: print([name for name in ('torch', 'numpy', 'diffusers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Usage: upscaler " + command in done.stdout
