"""Sizes that models can make, for sizes that pictures shall have; pictures to begin with."""

import math

import numpy as np
import pytest

from upscaler import Picture, PlanError, Size
from upscaler.text2image.parameters import GenerationParameters
from upscaler.text2image.sizes import SizeLimits, crop_middle, fit_image

SDXL = SizeLimits("sdxl", 1024, 8, None)
SD3 = SizeLimits("sd3", 1024, 16, 3072)


@pytest.mark.parametrize(
    ("aspect", "size", "made"),
    [
        (None, Size(1024, 1024), Size(1024, 1024)),
        ("16:9", Size(1365, 768), Size(1376, 768)),
        ("2:3", Size(836, 1254), Size(848, 1264)),
        ("2.39:1", Size(1583, 662), Size(1584, 672)),
    ],
)
def test_aspect_has_as_many_pixels_as_the_model_was_trained_on(aspect: str | None, size: Size, made: Size) -> None:
    assert SD3.choose(GenerationParameters("a cat", aspect=aspect), None) == size
    assert SD3.extend(size) == made
    assert size.pixels == pytest.approx(1024**2, rel=2e-3)


def test_picture_to_begin_with_gives_the_proportions() -> None:
    assert SDXL.choose(GenerationParameters("a cat", image="x"), Size(4000, 3000)) == Size(1182, 887)
    assert SDXL.choose(GenerationParameters("a cat", image="x", aspect="1:1"), Size(4000, 3000)) == Size(1024, 1024)
    assert SDXL.choose(GenerationParameters("a cat", image="x", size=Size(333, 77)), Size(4000, 3000)) == Size(333, 77)


@pytest.mark.parametrize(
    ("limits", "size", "words"),
    [
        (SDXL, Size(63, 900), "size=63x900: sdxl makes no pictures with a side under 64 pixels. Make it larger"),
        (SD3, Size(3073, 512), "size=3073x512: sd3 makes .* over 3072 pixels. Make it smaller, such as 1024x1024"),
    ],
)
def test_impossible_sizes_are_refused(limits: SizeLimits, size: Size, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        limits.choose(GenerationParameters("a cat", size=size), None)


def test_middle_is_taken_of_what_was_made_larger() -> None:
    pixels = np.arange(8 * 9, dtype=np.float32).reshape(8, 9, 1)
    assert np.array_equal(crop_middle(pixels, Size(5, 4)), pixels[2:6, 2:7])


def test_picture_to_begin_with_is_neither_stretched_nor_transparent() -> None:
    pixels = np.zeros((40, 80, 4), np.uint8)
    pixels[:, 20:60] = (255, 0, 0, 255)
    square = fit_image(Picture(pixels), Size(64, 64))
    assert square.shape == (64, 64, 3)
    assert np.allclose(square[:, 4:-4], (1, 0, 0), atol=0.01)
    wide = fit_image(Picture(pixels), Size(128, 64))
    assert np.allclose(wide[:, :28], 1, atol=0.01)


def test_grey_picture_to_begin_with_gets_three_channels() -> None:
    pixels = np.full((10, 10, 1), 0x8080, np.uint16)
    assert np.allclose(fit_image(Picture(pixels), Size(64, 64)), 0x8080 / 65535, atol=1e-6)


def test_images_of_any_proportions_fit_whatever_their_numbers_round_to() -> None:
    for width, height in ((100, 70), (70, 100), (101, 77), (333, 250), (64, 64)):
        own = Picture(np.full((height, width, 3), 128, np.uint8))
        for side in range(64, 320, 7):
            size = Size(round(side * math.sqrt(width / height)), round(side / math.sqrt(width / height)))
            assert fit_image(own, size).shape == (size.height, size.width, 3)
