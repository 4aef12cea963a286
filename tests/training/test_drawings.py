"""Drawings to learn from: rendered on paper, and left out where they show too little."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import drawings


def svg(folder: Path, name: str, lines: int, size: str = 'width="100" height="80"') -> Path:
    stripes = "".join(f'<path d="M{i % 100} 0 L{(7 * i) % 100} 80" stroke="#{i % 10}00"/>' for i in range(lines))
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.svg"
    file.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{stripes}<!--{" " * 9000}--></svg>')
    return file


def test_drawings_are_on_white_or_on_a_colour(tmp_path: Path) -> None:
    file = svg(tmp_path, "lines", 60)
    papers = set()
    for seed in range(6):
        drawing = drawings.render(file, np.random.default_rng(seed))
        assert drawing is not None
        assert (drawing.shape, drawing.dtype) == ((1024, 1280, 3), np.uint8)
        colours, counts = np.unique(drawing.reshape(-1, 3), axis=0, return_counts=True)
        papers.add(tuple(int(level) for level in colours[counts.argmax()]))
    assert (255, 255, 255) in papers
    assert len(papers) > 2


def test_what_shows_too_little_is_left_out(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    assert drawings.render(svg(tmp_path, "flat", 0), random) is None
    assert drawings.render(svg(tmp_path, "narrow", 60, 'width="100" height="10"'), random) is None
    (tmp_path / "broken.svg").write_text("<svg")
    assert drawings.render(tmp_path / "broken.svg", random) is None


def test_as_many_as_are_asked_for_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        svg(tmp_path / "in", f"lines{number}", 60)
    svg(tmp_path / "in", "flat", 0)
    monkeypatch.setattr(
        sys, "argv", ["drawings", "--svg", f"{tmp_path / 'in'}", "--out", f"{tmp_path / 'out'}", "--count", "3"]
    )
    drawings.main()
    assert capsys.readouterr().out == "3 drawings of 5 files\n"
    made = sorted((tmp_path / "out").iterdir())
    assert len(made) == 3
    for file in made:
        with Image.open(file) as image:
            assert (image.mode, image.size) == ("RGB", (1280, 1024))
