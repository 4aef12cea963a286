"""Pages that are drawn."""

from __future__ import annotations

import numpy as np

from training.pages import draw_page


def test_pages_have_strokes_on_a_paper() -> None:
    random = np.random.default_rng(0)
    for _ in range(12):
        sheet = draw_page(96, random)
        assert sheet.shape == (96, 96, 3)
        assert sheet.std() > 2
