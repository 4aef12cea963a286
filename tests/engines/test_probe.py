"""What is measured of networks where pictures are cut: reach, grid, locality."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.networks import blur
from upscaler.arrays import FloatArray
from upscaler.engines.probe import Function, TilingProfile, known_profile, load_or_measure, measure_tiling
from upscaler.errors import ModelError


def on_arrays(function: Callable[[torch.Tensor], torch.Tensor]) -> Function:
    return lambda tiles: function(torch.from_numpy(tiles)).numpy()


@pytest.mark.parametrize("radius", [2, 6])
def test_reach_of_a_filter_is_its_radius(radius: int) -> None:
    profile = measure_tiling(on_arrays(blur(radius)), 3, 1, 1)
    assert radius - 1 <= profile.reach <= radius
    assert (profile.multiple, profile.is_local, profile.is_batchable) == (1, True, True)


def test_a_network_with_strides_is_cut_at_multiples_of_them() -> None:
    def strided(tiles: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool2d(tiles, 4, ceil_mode=True)
        large = torch.nn.functional.interpolate(small, scale_factor=4, mode="nearest")
        return large[:, :, : tiles.shape[2], : tiles.shape[3]]

    profile = measure_tiling(on_arrays(strided), 3, 1, 1)
    assert profile.multiple == 4
    assert profile.is_local


def test_a_network_that_sees_the_whole_tile_is_not_local() -> None:
    def global_mean(tiles: FloatArray) -> FloatArray:
        return tiles - tiles.mean(axis=(2, 3), keepdims=True)

    assert not measure_tiling(global_mean, 3, 1, 1).is_local


def test_a_network_that_mixes_the_tiles_of_a_batch_is_not_batchable() -> None:
    assert not measure_tiling(lambda tiles: tiles - tiles.mean(axis=0, keepdims=True), 3, 1, 1).is_batchable


def test_a_profile_is_measured_once_and_kept_in_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path))
    assert known_profile("some key") is None
    profile = TilingProfile(7, multiple=2)
    assert load_or_measure("some key", lambda: profile) == profile
    assert load_or_measure("some key", lambda: TilingProfile(1)) == profile
    assert known_profile("some key") == profile
    assert json.loads((tmp_path / "tiling.json").read_text())["some key"]["reach"] == 7


@pytest.mark.parametrize("content", ["", "[]", '{"key": 3}', '{"key": {"reach": 3, "together": true}}'])
def test_a_cache_of_another_form_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path))
    (tmp_path / "tiling.json").write_text(content)
    assert load_or_measure("key", lambda: TilingProfile(5)) == TilingProfile(5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_gives_no_numbers_is_one_sentence(value: float) -> None:
    with pytest.raises(ModelError, match=r"the network gives values that are no numbers \(NaN\) at its trial"):
        measure_tiling(lambda tiles: np.full_like(tiles, value), 3, 1, 1)
