"""The part that is asked for: how it is written, and which pixels it is."""

import pytest

from upscaler import PlanError
from upscaler.tiling import Crop, Region, Size

SIZE = Size(200, 101)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("10,20,30x40", Region(10, 20, 30, 40)),
        (" 0, 0 , 200 x 101 ", Region(0, 0, 200, 101)),
        ("0%,0%,100%x100%", Region(0, 0, 200, 101)),
        ("25%,50%,50%x50%", Region(50, 50, 100, 51)),
        ("50%,50%,64×32", Region(100, 50, 64, 32)),
        ("100%,100%,0.001%x0.001%", None),
        ("99.99%,99.99%,0.01%x0.01%", Region(199, 100, 1, 1)),
    ],
)
def test_a_text_names_pixels(text: str, region: Region | None) -> None:
    if region is None:
        with pytest.raises(PlanError):
            Crop.parse(text)
    else:
        assert Crop.parse(text).region(SIZE) == region


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a part"),
        ("nan,0,1x1", "not a part"),
        ("-1,0,5x5", "not a part"),
        ("1,1,5", "not a part"),
        ("1.5,1,5x5", "not a part"),
        ("1e3,1,5x5", "not a part"),
        ("0,0,0x5", "empty"),
        ("0,0,5x0%", "empty"),
        ("0,0,101%x5", "101 % is more than the whole"),
        ("60%,0,50%x5", "60 % and 50 % are more than the whole"),
    ],
)
def test_what_is_no_part_of_any_picture_is_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(PlanError, match=f"^crop=.*{reason}"):
        Crop.parse(text)


@pytest.mark.parametrize(
    "values", [(0, 0, 0, 5), (-1, 0, 5, 5), (float("nan"), 0, 5, 5), (0, 0, 5.0, 5), ("5", 0, 5, 5)]
)
def test_numbers_are_checked_like_texts(values: tuple[int, int, int, int]) -> None:
    with pytest.raises(PlanError, match=r"^crop"):
        Crop(*values)


@pytest.mark.parametrize("text", ["190,0,20x5", "0,100,5x2", "200,0,1x1", "95%,0,20x5"])
def test_a_part_beyond_the_picture_is_refused_with_both_sizes(text: str) -> None:
    with pytest.raises(PlanError, match=r"reaches to \d+,\d+, beyond the picture, which has 200x101 pixels"):
        Crop.parse(text).region(SIZE)


def test_a_crop_is_written_as_it_is_read() -> None:
    assert str(Crop.parse("10%, 20,30.5%x40")) == "10%,20,30.5%x40"
