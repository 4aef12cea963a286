"""Pictures at web addresses, without any package for URLs; a server on this machine gives them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.bad_files import file_of
from tests.web_server import serve
from upscaler import PlanError, Target
from upscaler.codecs import EncodeOptions
from upscaler.inputs.discover import find_jobs
from upscaler.inputs.storage import parse_location, stat
from upscaler.jobs.batch import run
from upscaler.jobs.outcome import Outcome
from upscaler.pipeline import Pipeline

FILES = {
    "/a.png": (200, "image/png", file_of("png")),
    "/b": (200, "application/octet-stream", file_of("jpg")),
    "/empty.png": (200, "image/png", b""),
    "/page.png": (200, "text/html; charset=utf-8", b"<html>log in</html>"),
    "/text.png": (200, "text/plain", b"no picture at all"),
    "/cut.png": (200, "image/png", file_of("png")[:300]),
    "/gone.png": (404, "text/html", b"<html>not found</html>"),
    "/list": (200, "text/html", b"<html><a href='a.png'>a.png</a></html>"),
}


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(FILES) as address:
        yield address


def outcome_of(address: str) -> Outcome:
    jobs = find_jobs([address], "out/", EncodeOptions(), "").jobs
    (outcome,) = run(Pipeline("lanczos"), jobs, Target(scale=2), folder=Path("out"))
    return outcome


@pytest.mark.parametrize("name", ["a.png", "b"])
def test_picture_at_an_address_is_enlarged_once(url: str, name: str) -> None:
    outcome = outcome_of(f"{url}/{name}")
    assert outcome.error is None
    with Image.open(outcome.output) as image:
        assert image.size == (192, 128)
    assert outcome_of(f"{url}/{name}").was_done


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.png", "the server sends an empty file."),
        ("gone.png", "HTTP 404 Not Found."),
        ("text.png", "not a picture in any known format"),
        ("cut.png", "the file is damaged"),
    ],
)
def test_what_is_no_picture_is_said(url: str, name: str, words: str) -> None:
    error = outcome_of(f"{url}/{name}").error or ""
    assert error.startswith(f"{url}/{name}: {words}")


@pytest.mark.parametrize("name", ["page.png", "list/"])
def test_web_page_is_no_picture(url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    error = outcome_of(f"{url}/{name}").error or ""
    assert error == f"{url}/{name.rstrip('/')}: the folder cannot be read (it is a web page, not a picture)."


def test_server_that_cannot_be_reached_is_said() -> None:
    jobs = find_jobs(["http://127.0.0.1:9/a.png"], "out/", EncodeOptions(), "").jobs
    (outcome,) = run(Pipeline("lanczos"), jobs, Target(scale=2))
    assert outcome.error == "http://127.0.0.1:9/a.png: no connection to it."


def test_size_and_time_are_the_server_s(url: str) -> None:
    found = stat(parse_location(f"{url}/a.png"))
    assert found is not None
    assert (found.size, found.mtime_ns) == (len(file_of("png")), 1445412480 * 10**9)


def test_result_beside_an_address_is_refused(url: str) -> None:
    with pytest.raises(PlanError, match="results are not written beside sources at a URL"):
        find_jobs([f"{url}/a.png"], None, EncodeOptions(), "_2x")
