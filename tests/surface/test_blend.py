"""Cutting and blending together: what goes through an engine that changes nothing comes back unchanged."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upscaler.surface import Upload, blend, cut
from upscaler.tiling import Budget, Plan, Size, Tile, TileRequirements, plan

LENGTHS = st.integers(1, 90)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    scale, reach = draw(st.integers(1, 8)), draw(st.integers(0, 9))
    multiple = draw(st.sampled_from([1, 1, 2, 4, 16]))
    needs = TileRequirements(scale, reach, multiple, minimum=draw(st.integers(1, 20)), ramp=draw(st.integers(1, 6)))
    overlap = draw(st.none() | st.integers(0, 40))
    shared = 2 * reach + needs.ramp if overlap is None else max(overlap, needs.ramp)
    smallest = shared + 2 * max(needs.ramp, multiple) + 2 * multiple + needs.minimum
    tile = draw(st.none() | st.integers(smallest, smallest + 60))
    budget = Budget(draw(st.sampled_from([10**3, 10**9])), tile, draw(st.none() | st.integers(1, 5)), overlap)
    return plan(Size(draw(LENGTHS), draw(LENGTHS)), needs, budget, border=draw(st.sampled_from([0, 8])))


def enlarged(tile: np.ndarray, scale: int) -> np.ndarray:
    """The identity engine: every pixel becomes scale x scale of it."""
    return tile.repeat(scale, 0).repeat(scale, 1)


def through(pixels: np.ndarray, grid: Plan) -> np.ndarray:
    tiles = (
        Tile(region, enlarged(tile, grid.scale))
        for batch in cut(Upload(pixels), grid)
        for region, tile in zip(batch.regions, batch.pixels, strict=True)
    )
    bands = list(blend(tiles, grid))
    ends = [band.y + len(band.pixels) for band in bands]
    assert [band.y for band in bands] == [0, *ends[:-1]], "bands leave gaps or overlap"
    return np.concatenate([band.pixels for band in bands])


@settings(max_examples=250, deadline=None)
@given(plans(), st.integers(0, 2**32 - 1))
def test_identity_engine_gives_back_the_picture_exactly(grid: Plan, seed: int) -> None:
    pixels = np.random.default_rng(seed).random((grid.size.height, grid.size.width, 3), np.float32)
    assert np.array_equal(through(pixels, grid), enlarged(pixels, grid.scale))


@settings(max_examples=60, deadline=None)
@given(plans())
def test_weights_of_every_pixel_sum_to_one(grid: Plan) -> None:
    """The blend is linear: its weight for a tile is what it makes of ones in that tile and zeros in all others."""
    side = grid.tile.scaled(grid.scale)
    total = np.zeros((grid.size.height * grid.scale, grid.size.width * grid.scale, 1), np.float64)
    regions = list(grid.regions())
    for chosen in range(len(regions)):
        tiles = (
            Tile(region, np.full((side.height, side.width, 1), index == chosen, np.float32))
            for index, region in enumerate(regions)
        )
        weight = np.concatenate([band.pixels for band in blend(tiles, grid)])
        assert weight.min() >= 0
        total += weight
    assert np.abs(total - 1).max() < 1e-6


@settings(max_examples=60, deadline=None)
@given(plans(), st.integers(1, 7))
def test_batch_size_changes_nothing(grid: Plan, batch: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (grid.size.height, grid.size.width, 3), np.uint8)
    other = dataclasses.replace(grid, batch=batch)
    assert np.array_equal(through(pixels, grid), through(pixels, other))


@settings(max_examples=60, deadline=None)
@given(plans(), st.randoms())
def test_order_of_computing_changes_nothing(grid: Plan, random) -> None:
    pixels = np.random.default_rng(2).random((grid.size.height, grid.size.width, 1), np.float32)
    cuts = [
        (place, tile)
        for batch in cut(Upload(pixels), grid)
        for place, tile in zip(batch.regions, batch.pixels, strict=True)
    ]
    order = list(range(len(cuts)))
    random.shuffle(order)
    computed = {index: Tile(cuts[index][0], enlarged(cuts[index][1], grid.scale)) for index in order}
    bands = blend((computed[index] for index in range(len(cuts))), grid)
    assert np.array_equal(np.concatenate([band.pixels for band in bands]), through(pixels, grid))


def test_bands_leave_before_later_tiles_are_computed() -> None:
    grid = plan(Size(20, 300), TileRequirements(2, reach=4), Budget(10**9, tile=40))
    computed = []

    def tiles():
        for batch in cut(Upload(np.zeros((300, 20, 1), np.float32)), grid):
            computed.append(batch.regions[0])
            yield Tile(batch.regions[0], enlarged(batch.pixels[0], 2))

    first = next(blend(tiles(), grid))
    assert len(computed) == 1 < grid.count
    assert len(first.pixels) > 0


@pytest.mark.parametrize("length", [1, 2, 3, 50])
def test_borders_are_reflected_without_doubling_the_edge(length: int) -> None:
    pixels = np.arange(length, dtype=np.float32)[None, :, None] / 100
    grid = plan(Size(length, 1), TileRequirements(1, reach=0), Budget(10**9), border=8)
    tile = next(iter(cut(Upload(pixels), grid))).pixels[0, 8, :, 0]
    assert np.array_equal(tile, np.pad(pixels[0, :, 0], 8, mode="reflect") if length > 1 else np.zeros(17))


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535)])
def test_whole_numbers_become_floats_up_to_exactly_one(dtype: type, full: int) -> None:
    grid = plan(Size(4, 4), TileRequirements(1, reach=0), Budget(10**9), border=0)
    tile = next(iter(cut(Upload(np.full((4, 4, 3), full, dtype)), grid))).pixels
    assert tile.dtype == np.float32
    assert (tile == 1.0).all()
