"""A source that is shrunk first: what is made of it, how large, and that nothing else is different."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.networks import tiny_compact
from tests.pictures import sample
from upscaler import Target, Upscaler
from upscaler.arrays import PixelArray
from upscaler.errors import PlanError
from upscaler.pipeline import CLEANS, SHRINKS
from upscaler.tiling import Crop

SOURCE = np.random.default_rng(0).integers(60, 190, (40, 60, 4), np.uint8)


@pytest.fixture
def twice(tmp_path: Path) -> str:
    return str(tiny_compact(tmp_path, 2))


def enlarge(model: str, source: PixelArray = SOURCE, target: Target | None = None, **options: Any) -> PixelArray:
    return Upscaler(model, device="cpu", precision="fp32", **options)(source, target=target).pixels


def difference(one: PixelArray, other: PixelArray) -> int:
    return int(np.abs(one.astype(int) - other).max())


def test_it_is_what_enlarging_the_smaller_picture_gives(twice: str) -> None:
    deep = SOURCE.astype(np.uint16) * 257
    smaller = enlarge("lanczos", deep, Target(scale=0.5))
    assert smaller.shape == (20, 30, 4)
    shrunk = enlarge(twice, deep, shrink=0.5)
    assert difference(shrunk, enlarge(twice, smaller)) <= 2  # of 65,535


@pytest.mark.parametrize(
    ("shrink", "target", "size", "count"),
    [
        (0.5, None, (60, 40), 2),
        (0.5, Target(scale=2), (120, 80), 3),
        (0.25, Target(width=60), (60, 40), 3),
        (0.5, Target(scale=0.5), (30, 20), 2),
        (0.5, Target(scale=0.2), (12, 8), 0),
        (1, None, (120, 80), 1),
        (0.001, None, (2, 1), 2),
    ],
)
def test_sizes_that_are_asked_for_are_those_of_the_source(
    shrink: float, target: Target | None, size: tuple[int, int], count: int, twice: str
) -> None:
    estimate = Upscaler(twice, device="cpu", shrink=shrink).estimate(SOURCE, target=target)
    assert ((estimate.result.width, estimate.result.height), len(estimate.plans)) == (size, count)
    assert enlarge(twice, target=target, shrink=shrink).shape[1::-1] == size


def test_it_comes_before_cleaning_and_has_no_seams_and_parts(twice: str) -> None:
    upscaler = Upscaler("photo-fast", device="cpu", denoise=1, shrink=0.5)
    assert upscaler.estimate(SOURCE).members == (SHRINKS, CLEANS, 0)
    whole = enlarge(twice, shrink=0.5, target=Target(scale=2))
    assert difference(enlarge(twice, shrink=0.5, target=Target(scale=2), tile=28), whole) <= 1
    part = enlarge(twice, shrink=0.5, target=Target(scale=2, crop=Crop.parse("10,8,30x20")))
    assert difference(part, whole[16:56, 20:80]) <= 1


def test_auto_finds_the_size_a_picture_had() -> None:
    small = np.rint(255 * sample("astronaut.jpg")).astype(np.uint8)
    larger = cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    upscaler = Upscaler("photo-fast", device="cpu", shrink="auto")
    shrunk = upscaler.estimate(larger).windows[1].whole
    assert 0.9 * small.shape[1] < shrunk.width < 1.3 * small.shape[1]
    assert SHRINKS not in upscaler.estimate(small).members


@pytest.mark.parametrize("value", [0, -0.5, 1.5, float("nan"), "half"])
def test_a_share_that_cannot_be_names_its_argument(value: Any) -> None:
    with pytest.raises(PlanError, match=r"^shrink="):
        Upscaler("photo", shrink=value)
