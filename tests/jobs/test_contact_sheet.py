"""The contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from upscaler import Picture, Size
from upscaler.jobs.contact_sheet import CELL, GAP, make_sheet


def test_sheet_shrinks_and_keeps_order_and_proportions(tmp_path: Path) -> None:
    sizes = [Size(2 * CELL, CELL), Size(CELL, 2 * CELL), Size(20, 10)]
    for index, size in enumerate(sizes):
        Picture(np.full((size.height, size.width, 3), 50 * index, np.uint8)).save(tmp_path / f"{index}.png")
    made = make_sheet([tmp_path / f"{index}.png" for index in range(3)])
    assert made.size == Size(2 * CELL + 3 * GAP, 2 * CELL + 3 * GAP)
    middles = [GAP + CELL // 2, 2 * GAP + CELL + CELL // 2]
    found = [int(made.pixels[y, x, 0]) for y in middles for x in middles]
    assert found == [0, 50, 100, 255]
    assert int((made.pixels[:, :, 0] == 100).sum()) == 200
