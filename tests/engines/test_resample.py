"""The plain filter as an engine."""

import numpy as np
import pytest

from tests.pictures import sample
from upscaler.engines.resample import REACH, ResampleEngine
from upscaler.picture import resize
from upscaler.tiling import Size


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_are_resized_each_by_itself(scale: int, channels: int) -> None:
    tiles = np.random.default_rng(0).random((2, 9, 12, channels), np.float32)
    result = ResampleEngine(scale).run(tiles)
    assert result.shape == (2, 9 * scale, 12 * scale, channels)
    for tile, larger in zip(tiles, result, strict=True):
        assert np.array_equal(larger, resize(tile, Size(12 * scale, 9 * scale)))


def test_a_cut_changes_nothing_beyond_the_reach() -> None:
    picture = sample("astronaut.jpg")[None, :40, :60]
    engine = ResampleEngine(4)
    whole, part = engine.run(picture), engine.run(picture[:, :, 20:])
    beyond = 4 * REACH
    assert np.abs(part[:, :, beyond:] - whole[:, :, 80 + beyond :]).max() < 0.5 / 255
    assert np.abs(part[:, :, :beyond] - whole[:, :, 80 : 80 + beyond]).max() > 0.5 / 255


def test_there_is_no_more_careful_way() -> None:
    assert ResampleEngine().fallback() is None
