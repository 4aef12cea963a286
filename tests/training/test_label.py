"""What a teacher answers is kept on the tones of the truth, and drawings are taught as they are."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from tests.pictures import PHOTOS, SAMPLES, sample
from training import chain, charts, label


def test_drawn_truths_are_told_from_photographs() -> None:
    drawn = [Image.fromarray(charts.page()), Image.new("L", (64, 64), 200)]
    photographs = [Image.open(SAMPLES / name) for name in PHOTOS]
    for pictures, expected in ((drawn, True), (photographs, False)):
        for picture in pictures:
            levels = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
            assert label.is_drawn(torch.from_numpy(levels.copy())) is expected


def test_teacher_keeps_its_details_and_takes_the_tones_of_the_truth() -> None:
    levels = 255 * torch.from_numpy(np.array(sample("coffee.jpg")[:96, :128])).permute(2, 0, 1)
    details = 20 * (torch.arange(128) % 2) - 10  # lines of one pixel, far below what is held
    taught = (0.7 * levels + 10 + details).clamp(0, 255).byte()
    result = label.hold_tones(taught, levels)
    before, after = (
        torch.nn.functional.avg_pool2d(each.float() - levels.float(), 16).abs().mean() for each in (taught, result)
    )
    assert before > 10
    assert after < 2
    steps = (result.float().diff(dim=-1) - taught.float().diff(dim=-1)).abs()
    assert steps.mean() < 2


def test_taught_pieces_are_as_large_as_what_is_learned_at_once() -> None:
    assert chain.SIDE == label.SIDE
    assert label.SIDE % 8 == 0
