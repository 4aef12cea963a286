"""Mixing with the plain filter."""

from pathlib import Path

import numpy as np
import pytest

from tests.networks import tiny_compact
from tests.pictures import sample
from upscaler import Upscaler
from upscaler.errors import PlanError


def test_strength_mixes_the_network_with_the_filter_in_proportion(tmp_path: Path) -> None:
    file, tile = str(tiny_compact(tmp_path, scale=4)), np.uint8(51 + 153 * sample("coffee.jpg")[:40, :48])
    options = {"fidelity": 0, "device": "cpu", "precision": "fp32"}
    none, half, full = (Upscaler(file, blend=share, **options)(tile).pixels.astype(int) for share in (0, 0.5, 1))
    plain = Upscaler("lanczos")(tile).pixels.astype(int)
    assert np.abs(none - plain).max() <= 1
    assert np.abs(half * 2 - none - full).max() <= 2
    assert np.abs(full - none).max() > 4


def test_strength_leaves_no_seams(tmp_path: Path) -> None:
    file, picture = str(tiny_compact(tmp_path)), sample("coffee.jpg")[:100, :120]
    whole, tiled = (Upscaler(file, blend=0.5, device="cpu", tile=tile) for tile in (None, 48))
    assert tiled.estimate(picture).plans[0].count > 1
    assert np.abs(whole(picture).pixels.astype(int) - tiled(picture).pixels).max() <= 1


@pytest.mark.parametrize("option", ["blend", "fidelity", "denoise"])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_numbers_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(PlanError, match=f"^{option}=.*: the value must be between 0 and 1"):
        Upscaler("lanczos", **{option: value})
