"""Networks one after the other: the same as one picture through both, in tiles too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.engines.faulty import SmallMemory
from tests.networks import tiny_compact
from tests.pictures import sample
from upscaler import tiling
from upscaler.arrays import to_float
from upscaler.catalog import find
from upscaler.engines import Engine, engine_for, run
from upscaler.engines.chain import Chain
from upscaler.errors import OutOfMemory
from upscaler.tiling import Budget


def engine(folder: Path, scale: int, channels: int = 3, seed: int = 0) -> Engine:
    return engine_for(find(str(tiny_compact(folder, scale, channels, seed=seed))), "cpu", "fp32")


@pytest.mark.parametrize(("first", "then"), [(1, 4), (2, 1), (2, 2)])
def test_tiles_of_a_chain_are_the_whole_through_both(tmp_path: Path, first: int, then: int) -> None:
    one, other = engine(tmp_path, first, seed=1), engine(tmp_path, then, seed=2)
    chain, pixels = Chain(one, other), np.uint8(255 * sample("coffee.jpg")[:90, :110])
    whole = other.run(np.clip(one.run(to_float(pixels)[None]), 0, 1))[0]
    plan = tiling.plan(tiling.Size(110, 90), chain.info.needs, Budget(2**31, tile=48))
    assert plan.count > 1
    made = np.zeros_like(whole)
    for band in tiling.blend(run(chain, tiling.cut(pixels, plan)), plan):
        made[band.y : band.y + len(band.pixels)] = band.pixels
    edge = 8 * chain.info.needs.scale  # at its edges a picture is extended by its reflection, which this whole was not
    assert np.abs(made - whole)[edge:-edge, edge:-edge].max() < 0.5 / 255


def test_reaches_add_up_and_later_lengths_count_in_source_pixels(tmp_path: Path) -> None:
    one, other = engine(tmp_path, 2, seed=1), engine(tmp_path, 4, seed=2)
    one.info = replace(one.info, needs=replace(one.info.needs, reach=5, multiple=3, minimum=4))  # type: ignore[misc]
    other.info = replace(other.info, needs=replace(other.info.needs, reach=7, multiple=8, minimum=33))  # type: ignore[misc]
    needs = Chain(one, other).info.needs
    assert (needs.scale, needs.reach, needs.multiple, needs.minimum) == (8, 9, 12, 17)


def test_grey_networks_and_colour_networks_can_follow_each_other(tmp_path: Path) -> None:
    grey, colour = engine(tmp_path, 1, channels=1), engine(tmp_path, 2)
    tiles = sample("coffee.jpg")[None, :40, :40]
    for chain in (Chain(grey, colour), Chain(colour, grey)):
        assert chain.info.channels == 3
        assert chain.run(tiles).shape == (1, 80, 80, 3)


def test_a_chain_falls_back_until_neither_can(tmp_path: Path) -> None:
    one, other = engine(tmp_path, 1), engine(tmp_path, 2)
    chain: Engine | None = Chain(SmallMemory(one, 100, fallback=one), other)
    assert chain is not None
    tiles = sample("coffee.jpg")[None, :40, :40]
    with pytest.raises(OutOfMemory):
        chain.run(tiles)
    steps = 0
    while (following := chain.fallback()) is not None:
        chain, steps = following, steps + 1
        np.testing.assert_allclose(chain.run(tiles), Chain(one, other).run(tiles), atol=1e-3)
    assert steps >= 1
