"""A folder of pictures, and what was found in one."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from upscaler.codecs import EncodeOptions
from upscaler.inputs.discover import Jobs

PLAIN = EncodeOptions()


TAG = "_4x"


def picture(path: Path, format: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(path, format)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: in/a.jpg, in/b.PNG, in/deep/c.webp, in/.hidden.png, in/notes.txt."""
    for name in ("a.jpg", "b.PNG", "deep/c.webp", ".hidden.png", ".cache/d.png"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in/notes.txt").write_text("text")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outputs(found: Jobs[Path]) -> dict[str, str]:
    return {job.source.as_posix(): job.output.as_posix() for job in found.jobs}


def skipped(found: Jobs[Path]) -> dict[str, str]:
    return {item.path.as_posix(): item.reason for item in found.skipped}
