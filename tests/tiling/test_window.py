"""Parts of pictures: of which pixels before a pass they are made."""

from hypothesis import given
from hypothesis import strategies as st

from upscaler.picture import support
from upscaler.tiling import Region, Size, Window

SIDES = st.integers(1, 300)


@given(SIDES, SIDES, SIDES, SIDES, st.data())
def test_neighbouring_parts_fit_together_in_another_size(
    width: int, height: int, wide: int, high: int, data: st.DataObject
) -> None:
    """What one part leaves the next one begins with, unless both are less than a pixel."""
    x = data.draw(st.integers(0, width - 1))
    left, right = (
        Window(Size(width, height), Region(*part)) for part in ((0, 0, x, height), (x, 0, width - x, height))
    )
    target = Size(max(wide, width), max(high, height))
    if x:
        first, second = left.resized(target).region, right.resized(target).region
        assert first.x + first.width == second.x
        assert second.x + second.width == target.width
    assert Window.all(Size(width, height)).resized(Size(wide, high)).is_whole


@given(SIDES, SIDES, st.integers(1, 4), st.integers(0, 40), st.sampled_from([1, 2, 8]))
def test_the_whole_is_made_of_the_whole(width: int, height: int, scale: int, halo: int, multiple: int) -> None:
    source = Window.all(Size(width, height).scaled(scale)).source(
        Size(width, height), scale, halo, support=support, multiple=multiple
    )
    assert source.is_whole


def test_a_part_takes_what_is_around_it_and_begins_at_a_multiple() -> None:
    part = Window(Size(400, 400), Region(200, 40, 8, 4))
    found = part.source(Size(100, 100), 4, 7, support=support, multiple=8)
    assert found == Window(Size(100, 100), Region(40, 0, 19, 18))


def test_a_part_of_a_repeated_picture_may_reach_beyond_it() -> None:
    found = Window.all(Size(40, 40)).source(Size(10, 10), 4, 3, support=support, is_repeated=True)
    assert found.region == Region(-3, -3, 16, 16)
    assert not found.is_whole
