"""Comparing: which parts, which columns, and that each shows what enlarging the whole picture gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import upscaler
from tests.networks import tiny_compact
from tests.pictures import SAMPLES
from upscaler import Crop, PlanError, Size, Upscaler
from upscaler.comparison.columns import default_models
from upscaler.comparison.compare import describe_time
from upscaler.tiling import Region

PHOTO = SAMPLES / "astronaut.jpg"


def test_every_column_shows_its_part_of_the_whole_result() -> None:
    crops = ["10,20,40x30", Crop("50%", "50%", 32, 32)]
    found = upscaler.compare(PHOTO, ["photo-fast", "lanczos"], crops=crops, device="cpu")
    assert [column.label for column in found.columns] == ["source", "photo-fast", "lanczos"]
    assert found.scale == 4
    assert found.parts == (Region(10, 20, 40, 30), Region(128, 128, 32, 32))
    whole = Upscaler("photo-fast", device="cpu")(PHOTO).pixels.astype(int)
    cell = found.columns[1].cells[0]
    assert np.abs(whole[80:200, 40:200] - cell.picture.pixels).max() <= 1
    assert cell.lr_rmse is not None
    assert found.columns[0].whole_seconds is None
    assert found.columns[1].whole_seconds > cell.seconds  # type: ignore[operator]


def test_all_columns_have_the_scale_of_the_largest(tmp_path: Path) -> None:
    models = ["clean", str(tiny_compact(tmp_path, scale=2)), "faithful"]
    found = upscaler.compare(PHOTO, models, crops=["0,0,20x10"], device="cpu")
    assert {cell.picture.size for column in found.columns for cell in column.cells} == {Size(80, 40)}
    twice = upscaler.compare(PHOTO, models, scale=2, crops=["0,0,20x10"], device="cpu")
    assert {cell.picture.size for column in twice.columns for cell in column.cells} == {Size(40, 20)}


def test_every_value_of_an_option_is_a_column_and_named_if_there_are_several() -> None:
    found = upscaler.compare(
        PHOTO, ["photo-fast"], crops=["0,0,20x10"], fidelity=[0, 1], denoise=["auto", 0.5], blend=[0.7], device="cpu"
    )
    assert [column.label for column in found.columns[1:]] == [
        "photo-fast, denoise auto, fidelity 0",
        "photo-fast, denoise auto, fidelity 1",
        "photo-fast, denoise 0.5, fidelity 0",
        "photo-fast, denoise 0.5, fidelity 1",
    ]
    free, held = (column.cells[0].lr_rmse for column in found.columns[1:3])
    assert held < free  # type: ignore[operator]


def test_networks_that_enlarge_and_are_here_are_compared_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path))
    found = default_models()
    assert found == ["photo", "photo-fast", "faithful", "art"]  # and none that only an installed package carries
    assert not {"clean", "lanczos", "sd-x4", "refine", "realesrgan-x2plus"} & set(found)


def test_the_most_detailed_parts_are_found_in_different_places() -> None:
    pixels = np.full((400, 600, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    pixels[40:140, 420:520] = rng.integers(0, 255, (25, 25, 3)).repeat(4, 0).repeat(4, 1)
    pixels[250:350, 50:150] = rng.integers(60, 200, (25, 25, 3)).repeat(4, 0).repeat(4, 1)
    pixels[390:, :] = 255  # a hard edge is less than texture
    found = upscaler.compare(pixels, ["lanczos"], scale=5, crops=2)
    first, second = found.parts
    assert abs(first.x + first.width / 2 - 470) < 20
    assert abs(first.y + first.height / 2 - 90) < 20
    assert abs(second.x + second.width / 2 - 100) < 20
    assert abs(second.y + second.height / 2 - 300) < 20


def test_a_picture_smaller_than_a_part_is_compared_as_a_whole() -> None:
    found = upscaler.compare(np.zeros((9, 7, 3), np.uint8), ["lanczos"], crops=3)
    assert found.parts == (Region(0, 0, 7, 9),)


def test_too_many_columns_and_none_are_refused() -> None:
    with pytest.raises(PlanError, match=r"30 columns are too many. Compare 24 at most"):
        upscaler.compare(PHOTO, ["photo"], fidelity=[n / 30 for n in range(30)])
    with pytest.raises(PlanError, match="no model to compare"):
        upscaler.comparison.compare(upscaler.codecs.decode(PHOTO), [])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.421, "0.42 s"), (3.14, "3.1 s"), (42.4, "42 s"), (720, "12 min"), (12600, "3.5 h")]
)
def test_times_have_two_digits(seconds: float, text: str) -> None:
    assert describe_time(seconds) == text
