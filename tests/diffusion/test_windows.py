"""Windows cover a canvas, and their weights sum to one."""

from itertools import pairwise

import pytest
import torch

from upscaler.diffusion.windows import Grid, grid
from upscaler.errors import PlanError
from upscaler.tiling import Size

SIZES = [(1, 1), (1, 200), (63, 64), (65, 64), (72, 130), (129, 65), (1031, 517)]


def total(windows: Grid) -> torch.Tensor:
    """The sum of all weights at every cell."""
    canvas = torch.zeros(windows.size.height, windows.size.width)
    for region, weights in zip(windows.regions(), windows.weights(), strict=True):
        canvas[region.y : region.y + region.height, region.x : region.x + region.width] += weights
    return canvas


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("tile", "overlap", "align"), [(64, 16, 8), (64, 32, 8), (64, 48, 1), (13, 4, 2)])
def test_weights_sum_to_one_everywhere(size: tuple[int, int], tile: int, overlap: int, align: int) -> None:
    windows = grid(Size(*size), tile, overlap, align)
    for turn in (windows, windows.stagger()):
        assert (total(turn) - 1).abs().max() < 1e-6
        assert all(weights.min() >= 0 for weights in turn.weights())


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("tile", "overlap", "align"), [(64, 16, 8), (64, 40, 8), (13, 4, 2)])
def test_windows_are_equal_aligned_and_overlap_enough(
    size: tuple[int, int], tile: int, overlap: int, align: int
) -> None:
    windows = grid(Size(*size), tile, overlap, align)
    for axis in (windows.x, windows.y, windows.stagger().x, windows.stagger().y):
        assert axis.window <= tile
        assert axis.starts[0] == 0
        assert axis.starts[-1] == axis.length - axis.window
        assert all(start % align == 0 for start in axis.starts)
        assert all(before + axis.window - after >= overlap for before, after in pairwise(axis.starts))


def test_edge_of_a_window_counts_for_nothing_unless_it_is_the_edge_of_the_canvas() -> None:
    first, *_, last = grid(Size(208, 64), 64, 16).weights()
    assert (first[:, :48] == 1).all()
    assert (first[:, -2:] == 0).all()
    assert (last[:, :2] == 0).all()
    assert (last[:, -48:] == 1).all()


def test_windows_in_between_lie_where_the_others_meet() -> None:
    even = grid(Size(160, 64), 64, 16, 8)
    assert even.x.starts == (0, 48, 96)
    assert even.stagger().x.starts == (0, 24, 72, 96)


def test_windows_that_share_half_have_none_in_between() -> None:
    even = grid(Size(160, 160), 64, 32, 8)
    assert even.stagger() == even


def test_canvas_no_larger_than_a_window_is_one() -> None:
    windows = grid(Size(64, 17), 64, 16, 8)
    assert windows.count == 1
    assert (next(windows.weights()) == 1).all()


def test_window_no_larger_than_its_overlap_is_refused() -> None:
    with pytest.raises(PlanError, match=r"windows of 40 are too small for an overlap of 32\. Use 48 or more\."):
        grid(Size(100, 100), 40, 32, 8)
