"""What is measured of networks: reach, grid, locality, memory, randomness."""

import json
from pathlib import Path

import pytest
import torch

from upscaler.engines.probe import TilingProfile, known_profile, load_or_measure, measure_tiling, sample, try_out


def blur(radius: int) -> torch.nn.Module:
    """Means over squares, whose reach is known: at most `radius`."""
    side = 2 * radius + 1
    network = torch.nn.Conv2d(3, 3, side, padding=radius, groups=3, bias=False)
    torch.nn.init.constant_(network.weight, 1 / side**2)
    return network.requires_grad_(False)


@pytest.mark.parametrize("radius", [2, 6])
def test_reach_of_a_filter_is_its_radius(radius: int) -> None:
    profile = measure_tiling(blur(radius), 3, 1, 1)
    assert radius - 1 <= profile.reach <= radius
    assert (profile.multiple, profile.is_local, profile.is_batchable) == (1, True, True)


def test_a_network_with_strides_is_cut_at_multiples_of_them() -> None:
    def strided(tiles: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool2d(tiles, 4, ceil_mode=True)
        large = torch.nn.functional.interpolate(small, scale_factor=4, mode="nearest")
        return large[:, :, : tiles.shape[2], : tiles.shape[3]]

    profile = measure_tiling(strided, 3, 1, 1)
    assert profile.multiple == 4
    assert profile.is_local


def test_a_network_that_sees_the_whole_tile_is_not_local() -> None:
    def global_mean(tiles: torch.Tensor) -> torch.Tensor:
        return tiles - tiles.mean(dim=(2, 3), keepdim=True)

    assert not measure_tiling(global_mean, 3, 1, 1).is_local


def test_a_network_that_mixes_the_tiles_of_a_batch_is_not_batchable() -> None:
    assert not measure_tiling(lambda tiles: tiles - tiles.mean(dim=0, keepdim=True), 3, 1, 1).is_batchable


def test_a_trial_sees_memory_and_random_numbers() -> None:
    tile = sample(3, 1)
    quiet, noisy = (try_out(function, tile) for function in (blur(1), lambda tiles: tiles + torch.rand_like(tiles)))
    assert (quiet.is_stochastic, noisy.is_stochastic) == (False, True)
    assert quiet.bytes_per_pixel >= 3 * 4
    assert not quiet.uses_grid_sample


def test_a_trial_sees_the_largest_tensor() -> None:
    def widened(tiles: torch.Tensor) -> torch.Tensor:
        return tiles.repeat(1, 7, 2, 2)[:, :3, ::2, ::2]

    assert try_out(widened, sample(3, 1)).elements_per_pixel == 3 * 7 * 4


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
