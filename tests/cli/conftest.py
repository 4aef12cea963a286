"""The command line in this process: `main` with arguments, standard input and an exit code; nothing stays behind."""

from __future__ import annotations

import io
import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from PIL import Image
from typer.main import get_command

import upscaler
from tests.diffusion import tiny
from tests.pictures import SAMPLES
from upscaler.cli.app import main
from upscaler.cli.console import FOREIGN
from upscaler.cli.interrupt import SIGNALS
from upscaler.jobs.manifest import FOLDER


@dataclass(frozen=True)
class Done:
    code: int
    out: bytes
    err: str


Run = Callable[..., Done]

Edit = Callable[[str, str, str], None]


class Keyboard(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    handlers = [(number, signal.getsignal(number)) for number in SIGNALS]
    loggers = [logging.getLogger(name) for name in ("upscaler", *FOREIGN)]
    states = [(log, log.handlers[:], log.level, log.propagate) for log in loggers]
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr("upscaler.cli.options_in_text._known", None)
    yield
    for number, handler in handlers:
        signal.signal(number, handler)
    for log, those, level, propagate in states:
        log.handlers[:], log.propagate = those, propagate
        log.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """`run("-s", "2", "a.jpg", stdin=b"…")`: the exit code and what was written. Without stdin there is a keyboard."""

    def call(*arguments: str | Path, stdin: bytes | None = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["upscaler", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)) if stdin is not None else Keyboard())
        with pytest.raises(SystemExit) as exit:
            main()
        written = capsysbinary.readouterr()
        assert isinstance(exit.value.code, int)
        return Done(exit.value.code, written.out, written.err.decode())

    return call


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny generator."""
    folder = tmp_path_factory.mktemp("model") / "tiny-sd"
    tiny.build_sd().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def x4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny diffusion model that enlarges."""
    folder = tmp_path_factory.mktemp("model") / "tiny-x4"
    tiny.build_x4().save_pretrained(folder)
    return folder


@pytest.fixture
def drawing(model: Path) -> tuple[str, ...]:
    """Options that make `upscaler generate` quick."""
    return "-g", str(model), "-d", "cpu", "--size", "72x64", "--steps", "1"


@pytest.fixture
def small() -> Image.Image:
    return Image.open(SAMPLES / "astronaut.jpg").convert("RGB").resize((60, 40))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Image.Image) -> Path:
    """The current folder: a.jpg, b.png, notes.txt and sub/d.webp; its pictures are of 60x40 pixels."""
    place = tmp_path / "here"
    (place / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "sub/d.webp"):
        small.save(place / name)
    (place / "notes.txt").write_text("not a picture")
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """`edit("cli/info.py", place, text)` puts a text in front of a place in a module. It does so in a copy of the
    package, which is the one that `python -m upscaler` runs from then on."""
    source, copy = Path(upscaler.__file__).parent, tmp_path / "copy"
    shutil.copytree(source, copy / "upscaler", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "models").symlink_to(source.parent / "models")
    monkeypatch.chdir(copy)
    monkeypatch.setenv("PYTHONPATH", str(copy))

    def put(module: str, place: str, text: str) -> None:
        file = copy / "upscaler" / module
        before, found, after = file.read_text(encoding="utf-8").partition(place)
        assert found
        assert place not in after
        file.write_text(before + text + found + after, encoding="utf-8")

    return put


def start(*arguments: str) -> Done:
    """Runs `upscaler` in another process."""
    done = subprocess.run([sys.executable, "-m", "upscaler", *arguments], capture_output=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr.decode())


def options_of(command: Any) -> list[Any]:
    """The options of a command in their order, as Typer reads them."""
    app = typer.Typer(add_completion=False)
    app.command()(command)
    return [parameter for parameter in get_command(app).params if parameter.param_type_name == "option"]


def sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Every picture below a folder, by its relative name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".txt" and not {FOLDER, "home"}.intersection(path.parts):
            with Image.open(path) as image:
                found[path.relative_to(folder).as_posix()] = image.size
    return found
