"""Plans: equal tiles, right places, within the budget, and a sentence when it cannot be."""

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upscaler.errors import PlanError
from upscaler.tiling import Budget, Size, TileRequirements, plan, plan_either_way
from upscaler.tiling.plan import FINISHING

SIDES = st.integers(1, 3000)


@settings(max_examples=200, deadline=None)
@given(SIDES, SIDES, st.integers(0, 70), st.sampled_from([1, 4, 16]), st.sampled_from([1, 2, 4]))
def test_tiles_cover_the_picture_and_overlap_by_twice_the_reach(
    width: int, height: int, reach: int, multiple: int, scale: int
) -> None:
    needs = TileRequirements(scale, reach, multiple, minimum=16, bytes_per_pixel=400, fast_pixels=2**16)
    grid = plan(Size(width, height), needs, Budget(10**8))
    for axis in (grid.x, grid.y):
        assert axis.starts[0] < 0
        assert axis.starts[-1] + axis.tile >= axis.length
        assert axis.tile % multiple == 0
        assert axis.tile >= 16
        assert all((start - axis.starts[0]) % multiple == 0 for start in axis.starts)
        for index in range(len(axis.starts)):
            first, last = axis.owned(index)
            assert index == 0 or first - axis.starts[index] >= reach
            assert index == len(axis.starts) - 1 or axis.starts[index] + axis.tile - last >= reach
        owned = [axis.owned(index) for index in range(len(axis.starts))]
        assert owned[0][0] <= 0
        assert owned[-1][1] >= axis.length
        assert all(later[0] + axis.ramp == earlier[1] for earlier, later in itertools.pairwise(owned))


def test_a_picture_smaller_than_a_tile_is_its_own_single_tile() -> None:
    grid = plan(Size(100, 60), TileRequirements(4, reach=10), Budget(10**9))
    assert grid.count == 1
    assert grid.tile == Size(116, 76)


def test_less_memory_gives_smaller_tiles_within_it() -> None:
    needs = TileRequirements(4, reach=10, bytes_per_pixel=1000)
    sizes = []
    for memory in (2**32, 2**28, 2**25):
        grid = plan(Size(1000, 1000), needs, Budget(memory))
        assert grid.memory <= memory
        sizes.append(grid.tile.pixels)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


def test_memory_does_not_grow_with_the_height_of_the_picture() -> None:
    needs = TileRequirements(4, reach=10, bytes_per_pixel=240, fast_pixels=2**17)
    low, tall = (plan(Size(5000, height), needs, Budget(2**32)).memory for height in (5000, 20000))
    assert tall <= low * 1.05


def test_a_batch_is_as_large_as_asked_and_no_larger_than_the_picture() -> None:
    needs = TileRequirements(2, reach=2)
    assert plan(Size(200, 200), needs, Budget(10**9, tile=50, batch=3)).batch == 3
    assert plan(Size(20, 20), needs, Budget(10**9, batch=64)).batch == 1


def test_a_tile_too_small_for_the_overlap_is_refused_with_the_smallest_that_works() -> None:
    needs = TileRequirements(4, reach=64)
    with pytest.raises(PlanError, match=r"tile=100: too small .* overlap by 132 .* Use 140 or more"):
        plan(Size(500, 500), needs, Budget(10**9, tile=100))
    plan(Size(500, 500), needs, Budget(10**9, tile=140))


def test_a_network_that_must_see_everything_gets_one_tile_and_refuses_another() -> None:
    needs = TileRequirements(1, reach=0, can_be_tiled=False)
    assert plan(Size(3000, 2000), needs, Budget(1)).count == 1
    with pytest.raises(PlanError, match="must see the whole picture"):
        plan(Size(3000, 2000), needs, Budget(10**9, tile=512))


@pytest.mark.parametrize("budget", [Budget(2**40), Budget(2**40, tile=2048), Budget(2**40, tile=512, batch=64)])
def test_tiles_that_run_together_are_no_larger_than_the_device_can_compute(budget: Budget) -> None:
    """x4plus has 1024 elements a pixel, and kernels fail from 2**31 on."""
    needs = TileRequirements(4, reach=64, bytes_per_pixel=15000, batch_pixels=2**22, most_pixels=2**21 - 1)
    grid = plan(Size(6000, 4000), needs, budget)
    assert 2**20 < grid.tile.pixels * grid.max_batch < 2**21
    assert plan(Size(256, 256), needs, budget).max_batch <= (2**21 - 1) // 272**2


def test_a_row_of_results_and_their_finishing_count_as_memory_in_their_precision() -> None:
    needs = TileRequirements(4, reach=10, bytes_per_pixel=1000)
    half = dataclasses.replace(needs, result_bytes=2)
    whole, halves = (plan(Size(6000, 4000), each, Budget(2**31)) for each in (needs, half))
    for grid, size in ((whole, 4), (halves, 2)):
        results = (1 + len(grid.x.starts)) * grid.tile.pixels * 4**2 * 3 * size
        assert grid.memory == grid.tile.pixels * 1000 + results <= 2**31
    assert halves.tile.pixels > whole.tile.pixels
    finishing = dataclasses.replace(half, strip_values=2**26)
    small = plan(Size(6000, 4000), finishing, Budget(2**31))
    assert small.memory <= 2**31
    assert small.memory - 2**26 * FINISHING == (1 + len(small.x.starts)) * small.tile.pixels * 4**2 * 3 * 2


def test_columns_are_planned_where_rows_of_a_wide_picture_take_much_memory() -> None:
    needs = TileRequirements(4, reach=4, bytes_per_pixel=512.0, fast_pixels=2**18)
    budget = Budget(2**31)
    for size in (Size(4000, 3000), Size(100, 40000), Size(9000, 8000)):
        assert plan_either_way(size, needs, budget) == plan(size, needs, budget)
    for size in (Size(40000, 100), Size(30000, 1000), Size(100000, 2000)):
        wide, tall = plan_either_way(size, needs, budget), plan(size.transpose(), needs, budget)
        assert wide.by_columns
        assert wide.size == size
        assert wide.memory == tall.memory < plan(size, needs, budget).memory / 2
        assert (wide.x, wide.y) == (tall.y, tall.x)
