"""Engines made of others: shares of the plain filter, grey and colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.engines.faulty import SmallMemory
from tests.networks import tiny_compact
from tests.pictures import sample
from upscaler import Upscaler
from upscaler.arrays import FloatArray
from upscaler.catalog import find
from upscaler.engines import Engine, EngineInfo, adapt_channels, engine_for, reduce_channels
from upscaler.engines.resample import ResampleEngine
from upscaler.errors import PlanError
from upscaler.tiling import TileRequirements


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


def engine(folder: Path, scale: int, channels: int = 3, seed: int = 0) -> Engine:
    return engine_for(find(str(tiny_compact(folder, scale, channels, seed=seed))), "cpu", "fp32")


RANDOM = np.random.default_rng(0)


class Tinting:
    """Adds another number to each channel."""

    def __init__(self, channels: int) -> None:
        self.info = EngineInfo("tinting", TileRequirements(1, reach=0), channels=1 if channels == 1 else 3)

    def run(self, tiles: FloatArray) -> FloatArray:
        assert tiles.shape[3] == self.info.channels
        result: FloatArray = tiles + np.arange(tiles.shape[3], dtype=np.float32)
        return result

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        return None


def test_an_engine_that_fits_is_taken_as_it_is() -> None:
    for channels in (1, 3):
        engine = Tinting(channels)
        assert adapt_channels(engine, channels) is engine


def test_grey_through_colour_is_the_mean_of_the_channels() -> None:
    tiles = RANDOM.random((2, 5, 7, 1), np.float32)
    engine = adapt_channels(Tinting(3), 1)
    assert engine.info.channels == 1
    np.testing.assert_allclose(engine.run(tiles), tiles + 1, rtol=0, atol=1e-6)


def test_colour_through_grey_is_each_channel_by_itself() -> None:
    tiles = RANDOM.random((2, 5, 7, 3), np.float32)
    engine = adapt_channels(Tinting(1), 3)
    assert engine.info.channels == 3
    assert np.array_equal(engine.run(tiles), tiles)


def test_a_fallback_takes_the_same_channels() -> None:
    adapted = adapt_channels(SmallMemory(ResampleEngine(2), 10, fallback=ResampleEngine(2)), 1)
    fallback = adapted.fallback()
    assert fallback is not None
    assert fallback.info.channels == 1
    assert fallback.run(np.zeros((1, 4, 4, 1), np.float32)).shape == (1, 8, 8, 1)
    assert fallback.fallback() is None


def test_channels_are_reduced_to_their_mean_or_left_alone() -> None:
    pixels = RANDOM.random((4, 6, 3), np.float32)
    assert reduce_channels(pixels, 3) is pixels
    np.testing.assert_allclose(reduce_channels(pixels, 1)[:, :, 0], pixels.mean(axis=2), atol=1e-7)
