"""`upscaler generate`: from prompts to pictures in one line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, sizes
from tests.diffusion.hub import Hub

pytestmark = pytest.mark.usefixtures("one_thread", "own_folder")


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
