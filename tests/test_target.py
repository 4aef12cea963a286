"""Sizes: proportions to a rounding, frames kept, passes that lead to the result without waste."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaler.errors import PlanError
from upscaler.target import (
    LARGEST_SCALE,
    NAMED_SIZES,
    PAPERS,
    STRETCH,
    Paper,
    Target,
    parse_file_size,
    parse_memory,
    parse_paper,
    parse_size,
    passes,
)
from upscaler.tiling import Size

SIDES = st.integers(1, 20000)
SIZES = st.builds(Size, SIDES, SIDES)
NATIVE = st.sampled_from([1, 2, 3, 4, 8])
SHEETS = st.builds(Paper, st.floats(1, 3000), st.floats(1, 3000), st.integers(30, 1200))
TARGETS = st.one_of(
    st.floats(0.01, LARGEST_SCALE).map(lambda scale: Target(scale=scale)),
    SIDES.map(lambda width: Target(width=width)),
    SIDES.map(lambda height: Target(height=height)),
    SIDES.map(lambda edge: Target(long_edge=edge)),
    st.floats(0.0001, 1000).map(lambda megapixels: Target(megapixels=megapixels)),
    SIZES.map(lambda frame: Target(fit=frame)),
    SIZES.map(lambda frame: Target(at_least=frame)),
    SHEETS.map(lambda paper: Target(print=paper)),
    st.just(Target()),
)


def size_or_none(target: Target, source: Size, native: int) -> Size | None:
    """None when that is too many times as large, which is the one thing that may be wrong."""
    try:
        return target.size(source, native)
    except PlanError as error:
        assert "more than 32 is not supported" in str(error)  # noqa: PT017
        return None


@given(source=SIZES, target=TARGETS, native=NATIVE)
def test_size_keeps_proportions_to_a_rounding(source: Size, target: Target, native: int) -> None:
    result = size_or_none(target, source, native)
    if result is None:
        return
    assert min(result.width, result.height) >= 1
    low = max((result.width - 0.5) / source.width, (result.height - 0.5) / source.height)
    high = min((result.width + 0.5) / source.width, (result.height + 0.5) / source.height)
    assert low <= high * (1 + 1e-9) or 1 in (result.width, result.height)
    assert high <= LARGEST_SCALE + 1


@given(source=SIZES, frame=SIZES)
def test_fit_touches_the_frame_from_inside(source: Size, frame: Size) -> None:
    result = size_or_none(Target(fit=frame), source, 4)
    if result is not None:
        assert result.width <= frame.width
        assert result.height <= frame.height
        assert result.width == frame.width or result.height == frame.height


@given(source=SIZES, paper=SHEETS)
def test_print_touches_the_edges_of_the_paper_from_inside(source: Size, paper: Paper) -> None:
    result = size_or_none(Target(print=paper), source, 4)
    if result is None:
        return
    sheet = sorted(side / 25.4 * paper.dpi for side in (paper.width, paper.height))
    spare = [room - side for room, side in zip(sheet, sorted((result.width, result.height)), strict=True)]
    assert min(spare) >= -0.5 or 1 in (result.width, result.height)
    assert min(spare) <= 0.5


def test_paper_is_turned_as_the_picture_is() -> None:
    for paper in (Paper(100, 150, 254), Paper(150, 100, 254)):
        assert Target(print=paper).size(Size(60, 40), 4) == Size(1500, 1000)
        assert Target(print=paper).size(Size(40, 60), 4) == Size(1000, 1500)
        assert Target(print=paper).size(Size(50, 50), 4) == Size(1000, 1000)


@given(source=SIZES, frame=SIZES)
def test_at_least_covers_the_frame_and_never_shrinks(source: Size, frame: Size) -> None:
    result = size_or_none(Target(at_least=frame), source, 4)
    if result is None:
        return
    assert result.width >= max(frame.width, source.width)
    assert result.height >= max(frame.height, source.height)
    covers = source.width >= frame.width and source.height >= frame.height
    assert result == source if covers else result.width == frame.width or result.height == frame.height


@given(source=SIZES, side=SIDES, megapixels=st.floats(0.01, 500))
def test_one_number_is_met_exactly(source: Size, side: int, megapixels: float) -> None:
    width, height, edge, area = (
        size_or_none(target, source, 4)
        for target in (Target(width=side), Target(height=side), Target(long_edge=side), Target(megapixels=megapixels))
    )
    assert width is None or width.width == side
    assert height is None or height.height == side
    assert edge is None or max(edge.width, edge.height) == side
    if area is not None and min(area.width, area.height) > 50:
        assert math.isclose(area.pixels, megapixels * 1e6, rel_tol=0.03)


@given(source=SIZES, target=TARGETS, native=st.sampled_from([2, 3, 4, 8]))
def test_passes_lead_to_the_result_without_waste(source: Size, target: Target, native: int) -> None:
    result = size_or_none(target, source, native)
    if result is None:
        return
    sizes = passes(source, result, native, at_least_one=True)
    starts = [source, *sizes[:-1]]
    assert sizes[-1] == result
    for start, end in zip(starts, sizes, strict=True):
        assert start.width >= source.width
        assert start.height >= source.height
        assert end.width <= start.width * native * STRETCH + 1
        assert end.height <= start.height * native * STRETCH + 1
    factor = max(result.width / source.width, result.height / source.height)
    assert len(sizes) <= max(math.ceil(math.log(max(factor / STRETCH, 1), native)), 1)
    if len(sizes) > 1:
        needed = Size(max(-(-result.width // native), source.width), max(-(-result.height // native), source.height))
        assert starts[-1] == needed
        assert sum(start.pixels for start in starts) <= len(starts) * needed.pixels


@given(source=SIZES, target=TARGETS, native=NATIVE)
def test_picture_that_does_not_grow_takes_no_network(source: Size, target: Target, native: int) -> None:
    result = size_or_none(target, source, native)
    if result is not None and result.width <= source.width and result.height <= source.height:
        assert passes(source, result, native) == []


@pytest.mark.parametrize(
    ("scale", "native", "expected"),
    [
        (1, 4, ["100x60"]),
        (2, 4, ["200x120"]),
        (4, 4, ["400x240"]),
        (4.4, 4, ["440x264"]),
        (5, 4, ["125x75", "500x300"]),
        (8, 4, ["200x120", "800x480"]),
        (16, 4, ["400x240", "1600x960"]),
        (32, 4, ["283x170", "800x480", "3200x1920"]),
        (8, 2, ["200x120", "400x240", "800x480"]),
    ],
)
def test_passes_are_these(scale: float, native: int, expected: list[str]) -> None:
    source = Size(100, 60)
    result = Target(scale=scale).size(source, native)
    assert [str(size) for size in passes(source, result, native, at_least_one=True)] == expected


def test_network_that_does_not_enlarge_may_clean_only() -> None:
    source = Size(100, 60)
    assert passes(source, source, 1, at_least_one=True) == [source]
    assert passes(source, Size(108, 65), 1) == [Size(108, 65)]
    with pytest.raises(PlanError, match=r"the model cleans pictures without enlarging them\. Ask for `scale` 1"):
        passes(source, Size(200, 120), 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 0},
        {"scale": -2.0},
        {"scale": math.nan},
        {"scale": math.inf},
        {"width": 0},
        {"height": -1},
        {"long_edge": 10**400},
        {"megapixels": 0.0},
        {"fit": Size(0, 10)},
        {"at_least": Size(10, -10)},
    ],
)
def test_number_that_is_no_size_is_refused(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(PlanError, match=f"^{name}=.*: the value must be more than 0 and less than"):
        Target(**wrong)  # type: ignore[arg-type]


def test_scale_has_a_limit() -> None:
    assert Target(scale=32).size(Size(1, 1), 4) == Size(32, 32)
    with pytest.raises(PlanError, match=r"scale=32\.5: more than 32 is not supported"):
        Target(scale=32.5)
    with pytest.raises(PlanError, match=r"60x40 would become 33\.3 times as large; more than 32"):
        Target(width=2000).size(Size(60, 40), 4)


def test_one_size_at_a_time() -> None:
    with pytest.raises(PlanError, match=r"`scale` and `long_edge`: choose one of them\."):
        Target(scale=2, long_edge=100)


def test_target_knows_whether_it_is_a_scale() -> None:
    assert Target().is_scale
    assert Target(scale=3).is_scale
    assert not Target(width=3).is_scale
    assert not Target(print=PAPERS["a4"]).is_scale


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("3840x2160", Size(3840, 2160)),
        (" 10 X 20 ", Size(10, 20)),
        ("10×20", Size(10, 20)),
        ("4K", NAMED_SIZES["4k"]),
        ("FullHD", Size(1920, 1080)),
    ],
)
def test_size_is_read(text: str, size: Size) -> None:
    assert parse_size(text) == size


@given(SIZES)
def test_size_is_read_as_it_is_written(size: Size) -> None:
    assert parse_size(str(size)) == size


@pytest.mark.parametrize("text", ["", "4", "x", "10x", "-1x5", "1.5x2", "16k", "9" * 5000 + "x1", "10x20x30"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match=r"not a size\. Write WIDTHxHEIGHT, such as 3840x2160, or hd, fullhd, 2k, 4k"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "paper"),
    [
        ("60x90cm@300", Paper(600, 900, 300)),
        ("600x900mm", Paper(600, 900, 300)),
        (" 24 × 36 IN @ 240 dpi ", Paper(609.6, 914.4, 240)),
        ("8.5x11in@600", Paper(215.9, 279.4, 600)),
        ("A3", PAPERS["a3"]),
        ("letter@150", Paper(215.9, 279.4, 150)),
    ],
)
def test_paper_is_read(text: str, paper: Paper) -> None:
    read = parse_paper(text)
    assert (read.width, read.height) == pytest.approx((paper.width, paper.height))
    assert read.dpi == paper.dpi


@given(st.sampled_from(list(PAPERS.values())), st.integers(1, 9600))
def test_paper_is_read_as_it_is_written(paper: Paper, dpi: int) -> None:
    other = Paper(paper.width, paper.height, dpi)
    assert parse_paper(str(other)) == other


@pytest.mark.parametrize(
    "text", ["", "60x90", "60cm", "a7", "a3@", "a3@300x", "@300", "60x90km", "-6x9cm", "1e3x5cm", "٣x4cm"]
)
def test_what_is_no_paper_is_refused(text: str) -> None:
    with pytest.raises(
        PlanError, match=r"print=.*: not a paper size\. Write WIDTHxHEIGHT in cm, mm or in, such as 60x90cm"
    ):
        parse_paper(text)


@pytest.mark.parametrize("text", ["0x90cm", "60x90cm@0", "60x90cm@9601"])
def test_paper_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(
        PlanError, match=r"print=.*: not a paper size\. Its sides must be more than 0, its dots an inch from"
    ):
        parse_paper(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("8GB", 8 * 10**9),
        ("8", 8 * 10**9),
        (" 7.5 gb ", 75 * 10**8),
        ("8GiB", 8 * 2**30),
        ("800MB", 8 * 10**8),
        ("0.5TB", 5 * 10**11),
        ("512MiB", 2**29),
    ],
)
def test_amount_of_memory_is_read(text: str, amount: int) -> None:
    assert parse_memory(text) == amount


@pytest.mark.parametrize("text", ["", "GB", "0GB", "-8GB", "8 apples", "8GB each", "1e9", "٨GB", "8,5GB"])
def test_amount_that_is_none_is_one_sentence(text: str) -> None:
    with pytest.raises(PlanError, match=r"^memory=.*: not an amount of memory\. Write it as 8GB"):
        parse_memory(text)


@pytest.mark.parametrize(
    ("text", "size"), [("5MB", 5_000_000), ("800 kb", 800_000), ("2.5MiB", 2_621_440), ("90000B", 90_000)]
)
def test_sizes_of_files_are_read(text: str, size: int) -> None:
    assert parse_file_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "MB", "0MB", "-1MB", "nanMB", "5XB", "0.1B", "1e3MB"])
def test_what_is_no_size_of_a_file_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match=r"^max_size=.*: not the size of a file"):
        parse_file_size(text)
