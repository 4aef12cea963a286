"""`upscaler upscale` from and to pipes: what is read and written, and which sentence says that it cannot be."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run, sizes
from tests.web_server import serve

L = ("-m", "lanczos")


def test_pipe_to_pipe_keeps_the_format(run: Run, here: Path) -> None:
    done = run("-", *L, stdin=(here / "a.jpg").read_bytes())
    image = Image.open(io.BytesIO(done.out))
    assert (done.code, image.format, image.size) == (0, "JPEG", (240, 160))
    assert done.err == "standard output  240x160\n"


def test_file_to_pipe_takes_the_format_asked_for(run: Run, here: Path) -> None:
    done = run("a.j*", *L, "-o", "-", "-f", "webp", "-q")
    image = Image.open(io.BytesIO(done.out))
    assert (done.code, image.format, image.size, done.err) == (0, "WEBP", (240, 160), "")


def test_pipe_to_file(run: Run, here: Path) -> None:
    assert run("-", *L, "-o", "x.png", stdin=(here / "a.jpg").read_bytes()).code == 0
    assert sizes(here)["x.png"] == (240, 160)


def test_web_address_to_pipe(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve({"/a.jpg": (200, "image/jpeg", (here / "a.jpg").read_bytes())}) as url:
        done = run(f"{url}/a.jpg", *L, "-o", "-", "-q")
        assert (done.code, Image.open(io.BytesIO(done.out)).size) == (0, (240, 160))
        gone = run(f"{url}/gone.jpg", *L, "-o", "-")
        assert (gone.code, gone.out, gone.err) == (1, b"", f"error: {url}/gone.jpg: HTTP 404 Not Found.\n")


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "sentence"),
    [
        (["-"], b"", 1, "error: standard input: the file is empty."),
        (["-"], b"text", 1, "error: standard input: not a picture in any known format."),
        (["no.jpg", "-o", "-"], b"", 1, "error: no.jpg: no such file."),
        (["-", "-o", "sub"], b"", 2, "error: sub is a folder, and standard input has no name for a file in it."),
        (["-", "-o", "new/"], b"", 2, "error: new/ is a folder, and standard input has no name for a file in it."),
        (["-", "-o", "new"], b"", 2, "error: new: its name says no format. Give it a suffix such as .png"),
        (["-", "-o", "b.png"], None, 1, "error: b.png: exists already. Use --overwrite to replace it."),
        (["-", "--fit", "8k"], None, 1, "error: standard input: 60x40 would become 108.0 times as large"),
    ],
)
def test_pipe_that_cannot_be_is_one_sentence(
    run: Run, here: Path, arguments: list[str], stdin: bytes | None, code: int, sentence: str
) -> None:
    done = run(*arguments, *L, stdin=(here / "a.jpg").read_bytes() if stdin is None else stdin)
    assert (done.code, done.out) == (code, b"")
    assert done.err.startswith(sentence)
    assert len(done.err.splitlines()) == 1


def test_terminal_is_neither_fed_with_pixels_nor_waited_for(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    done = run("a.jpg", *L, "-o", "-")
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith("error: standard output is a terminal.")
    assert run("-", *L, "-o", "x.png", stdin=None).err.startswith("error: standard input is a terminal.")


def test_dry_run_of_a_pipe_writes_no_picture(run: Run, here: Path) -> None:
    done = run("-", *L, "--dry-run", stdin=(here / "a.jpg").read_bytes())
    assert done.out.startswith(b"standard input 60x40 -> standard output 240x160: lanczos on cpu")
