"""Pictures of strangers: read as others are, and whatever is wrong with one is a sentence."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.bad_files import _huge, file_of, png_chunk, png_with
from tests.corpus import make_corpus
from tests.tiffs import smooth
from upscaler import OutputError, PictureError, Target
from upscaler.codecs import EncodeOptions, decode, encode, untrusted
from upscaler.inputs.discover import find_jobs
from upscaler.jobs.batch import run
from upscaler.picture import Picture
from upscaler.pipeline import Pipeline

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")

CORPUS = make_corpus()

SAFE = [name for name in CORPUS if name.endswith((".png", ".jpeg", ".tiff", ".webp", ".avif", ".gif"))]


@pytest.fixture(autouse=True, scope="module")
def _readers() -> Iterator[None]:
    yield
    while not untrusted._idle.empty():
        untrusted._idle.get().end()


def read(content: bytes, **limits: float) -> Picture:
    return untrusted.decode(content, "x", False, 10**9, None, replace(untrusted.LIMITS, **limits))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name in SAFE[::4] if name != "YCbCr.tiff"])  # which Pillow reads
def test_a_picture_of_a_stranger_is_read_as_others_are(name: str) -> None:
    ours, theirs = decode(CORPUS[name], name=name), decode(CORPUS[name], name=name, untrusted=True)
    np.testing.assert_array_equal(theirs.pixels, ours.pixels)
    assert theirs.pixels.dtype == ours.pixels.dtype
    assert theirs.metadata == ours.metadata
    assert theirs.metadata.size == ours.metadata.size
    assert (theirs.profile, theirs.quality, theirs.format) == (ours.profile, ours.quality, ours.format)


@pytest.mark.parametrize("suffix", ["bmp", "jp2", "ppm", "psd", "ico", "dds", "qoi", "sgi", "pcx"])
def test_formats_of_other_decoders_are_refused_by_name(suffix: str) -> None:
    with pytest.raises(PictureError, match=r"^x: \w+ is not read from strangers, only JPEG, PNG, WEBP, TIFF, AVIF"):
        read(file_of(suffix))


@pytest.mark.parametrize("name", ["huge.jpg", "huge.png", "huge.tif", "huge.gif"])
def test_a_bomb_is_refused_before_it_goes_off(name: str) -> None:
    with pytest.raises(PictureError, match=r"60000x60000 is 3,600 megapixels, over the limit of 64\. .* `untrusted`"):
        read(_huge()[name])


def test_a_file_and_metadata_that_are_too_large_are_refused() -> None:
    with pytest.raises(PictureError, match=r"the file has 1 MiB, over the limit of 0 for pictures of strangers"):
        read(file_of("png"), file=1000)
    text = png_chunk(b"tEXt", b"Comment\0" + b"x" * 3 * 2**20)
    with pytest.raises(PictureError, match=r"its metadata have 4 MiB, over the limit of 2 for pictures of strangers"):
        read(png_with(text), metadata=2 * 2**20)


def test_a_decoder_that_hangs_is_ended() -> None:
    with pytest.raises(PictureError, match=r"^x: reading it took too long \(30 s of computing and 0 s in all"):
        read(file_of("jpg"), patience=0)
    assert read(file_of("jpg")).size == decode(file_of("jpg")).size


def test_a_decoder_that_takes_too_much_memory_is_ended() -> None:
    large = make_png(4000)
    with pytest.raises(PictureError, match=r"^x: (reading it (takes more than 8 MiB|ended the process)|the file is)"):
        read(large, memory=8 * 2**20)
    assert read(large).size.width == 4000


def make_png(side: int) -> bytes:
    from tests.bad_files import saved

    return saved(Image.new("RGB", (side, side), (1, 2, 3)), "PNG")


def test_a_decoder_that_crashes_is_told_by_its_signal() -> None:
    from upscaler.codecs import untrusted_child

    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
        os._exit(0)
    end = untrusted_child._wait(child, 10)
    assert untrusted._explain(end, untrusted.LIMITS).startswith("reading it ended the process that did it (SIGSEGV)")


def test_a_process_that_was_ended_while_it_was_idle_is_replaced() -> None:
    read(file_of("jpg"))
    reader = untrusted._idle.get()
    os.kill(reader._process.pid, signal.SIGKILL)
    untrusted._idle.put(reader)
    assert read(file_of("jpg")).format == "JPEG"


def test_nothing_of_the_current_folder_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numpy", "pyvips", "base64", "upscaler"):
        (tmp_path / f"{name}.py").write_text("open('taken', 'w')\n")
    monkeypatch.chdir(tmp_path)
    reader = untrusted._Reader()
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as pixels, tempfile.TemporaryFile() as result:
        file.write(file_of("png"))
        file.flush()
        request = {"name": "x", "accept_damaged": False, "max_pixels": 10**6, **vars_of(untrusted.LIMITS)}
        assert reader.read(request, file, pixels, result) == 0
    reader.end()
    assert not (tmp_path / "taken").exists()


def vars_of(limits: untrusted.Limits) -> dict[str, float]:
    return {name: getattr(limits, name) for name in ("file", "metadata", "memory", "processor", "patience")}


WHOLE = {"shape": [2, 2, 3], "depth": 8, "format": "PNG", "warnings": []}


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({}, 11),
        ({}, 13),
        ({"shape": [2, 2]}, 4),
        ({"shape": [2, 1, 6]}, 12),
        ({"shape": [2, -2, 3]}, 12),
        ({"shape": [100, 100, 1]}, 10000),
        ({"depth": 12}, 12),
        ({"profile": "no base 64!"}, 12),
        ({"format": "EXE"}, 12),
        ({"dpi": [1, float("nan")]}, 12),
        ({"dpi": [1]}, 12),
        ({"comments": [["key"]]}, 12),
        ({"warnings": [1]}, 12),
        ({"shape": None}, 12),
        ({"pickled": "cos\nsystem\n"}, 12),
    ],
)
def test_what_a_process_hands_back_is_checked(change: dict[str, object], size: int) -> None:
    with tempfile.TemporaryFile() as pixels, tempfile.TemporaryFile() as result:
        pixels.write(bytes(size))
        pixels.flush()
        result.write(json.dumps({**WHOLE, **change}).encode())
        with pytest.raises(PictureError, match=r"^x: what was read of it cannot be used"):
            untrusted._take("x", pixels, result, 1000, None)


def test_want_of_room_is_no_fault_of_the_picture() -> None:
    with tempfile.TemporaryFile() as pixels, tempfile.TemporaryFile() as result:
        result.write(b'{"room": "No space left on device"}')
        with pytest.raises(OutputError, match=r"no room for pixels in the making \(No space left on device\)"):
            untrusted._take("x", pixels, result, 1000, None)


def test_a_folder_of_strangers_goes_on_after_each_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name, content in {**_huge(), "a.jpg": file_of("jpg"), "b.png": file_of("png"), "c.bmp": file_of("bmp")}.items():
        Path("in", name).write_bytes(content)
    encode(Picture(smooth(20, 10)), Path("in/d.webp"))
    found = find_jobs(["in"], "out/", EncodeOptions(), "")
    outcomes = list(run(Pipeline("lanczos"), found.jobs, Target(scale=2), folder=found.folder, untrusted=True))
    assert {each.source.name for each in outcomes if each.error is None} == {"a.jpg", "b.png", "d.webp"}
    for each in outcomes:
        assert each.error is None or (each.error.startswith(f"{each.source}: ") and each.error.endswith("."))
    assert [path.name for path in Path("out").rglob("*") if path.name.startswith(".") and path.is_file()] == []
