"""The sheet of a comparison: everything at one pixel for one, and no text cut off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.comparison.test_page import COLOURS, comparison
from upscaler.comparison import Comparison, make_sheet
from upscaler.comparison.sheet import GROUND, INK, MARGIN, NAME, NARROWEST, _text, _width


def test_every_picture_is_there_pixel_by_pixel() -> None:
    sheet = make_sheet(comparison()).pixels
    for colour in COLOURS.values():
        for index, rows in enumerate((96, 128)):
            found = np.argwhere((sheet == np.array(colour) // (index + 1)).all(2))
            (top, left), (bottom, right) = found.min(0), found.max(0)
            assert (bottom - top + 1, right - left + 1) == (rows, 192)
            assert len(found) == rows * 192


def with_label(label: str) -> Comparison:
    first, second, third = comparison().columns
    return replace(comparison(), columns=(first, replace(second, label=label), third))


@pytest.mark.parametrize(
    "label", ["4xNomos8kHAT-L_otf_" * 6, "a " * 80, "модель-模型-ü-ß", "photo, denoise 0.5, fidelity 0.25"]
)
def test_a_long_name_goes_on_in_the_next_line_and_not_over_its_neighbour(label: str) -> None:
    lines = _text(label, NAME, INK, NARROWEST).lines
    assert all(0 < _width(line, NAME) <= NARROWEST for line in lines)
    assert "".join(lines).replace(" ", "").count("8k") == label.count("8k")
    sheet = make_sheet(with_label(label)).pixels
    gap = sheet[:, MARGIN + 2 * NARROWEST + 17 : MARGIN + 2 * NARROWEST + 30]
    assert (gap[120:140] == GROUND).all()
    assert (sheet[:, -MARGIN:] == GROUND).all()


def test_transparency_is_laid_on_white() -> None:
    found = comparison()
    cells = []
    for cell in found.columns[0].cells:
        height, width, _ = cell.picture.pixels.shape
        cells.append(replace(cell, picture=replace(cell.picture, pixels=np.zeros((height, width, 4), np.uint8))))
    columns = (replace(found.columns[0], cells=tuple(cells)), *found.columns[1:])
    sheet = make_sheet(replace(found, columns=columns)).pixels
    assert (sheet == 255).all(2).sum() == 192 * (96 + 128)
