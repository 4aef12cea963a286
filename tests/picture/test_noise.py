"""What is measured of noise and compression, on photographs whose noise and compression are known."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from tests.pictures import SAMPLES, sample
from upscaler.arrays import PixelArray
from upscaler.codecs import decode
from upscaler.picture import measure_wear

PHOTOS = ("astronaut.jpg", "coffee.jpg", "chelsea.png")


def clean(name: str) -> PixelArray:
    """A photograph as it is among the samples, reduced from a larger one."""
    return np.uint8(np.rint(255 * sample(name)))


def noisy(name: str, deviation: float, channels: int) -> PixelArray:
    pixels = clean(name)
    noise = np.random.default_rng(0).normal(0, deviation, (*pixels.shape[:2], channels))
    return np.uint8(np.clip(np.rint(pixels + noise), 0, 255))


def saved(pixels: PixelArray, quality: int) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.mark.parametrize("name", [*PHOTOS, "text.png", "lineart.png", "logo.png", "camera.jpg"])
def test_nothing_is_removed_from_a_clean_picture(name: str) -> None:
    picture = decode(SAMPLES / name)
    assert measure_wear(picture.colour, picture.quality).strength == 0


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("channels", [1, 3])
def test_noise_of_five_levels_is_found_and_more_noise_is_more(name: str, channels: int) -> None:
    strengths = [measure_wear(noisy(name, deviation, channels)).strength for deviation in (5, 10, 20)]
    assert strengths[0] > 0
    assert strengths == sorted(strengths)
    assert strengths[-1] == 1


@pytest.mark.parametrize("quality", [10, 30, 50, 60, 75, 90, 95])
def test_a_jpeg_file_tells_its_quality(quality: int) -> None:
    picture = decode(saved(clean("coffee.jpg"), quality))
    assert picture.quality is not None
    assert abs(picture.quality - quality) <= (1 if quality >= 20 else 5)
    assert (measure_wear(picture.colour, picture.quality).strength > 0) == (quality < 82)


@pytest.mark.parametrize("quality", [10, 30, 50, 60, 75, 90])
@pytest.mark.parametrize("method", [0, 4, 6])
def test_a_webp_file_tells_its_quality(quality: int, method: int) -> None:
    file = io.BytesIO()
    PIL.Image.fromarray(clean("coffee.jpg")).save(file, "WEBP", quality=quality, method=method)
    found = decode(file.getvalue()).quality
    assert found is not None
    assert abs(found - quality) <= 10


def test_a_lossless_webp_file_tells_no_quality() -> None:
    file = io.BytesIO()
    PIL.Image.fromarray(clean("coffee.jpg")).save(file, "WEBP", lossless=True)
    assert decode(file.getvalue()).quality is None


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("quality", [20, 40, 60])
def test_the_quality_of_a_jpeg_that_became_a_png_is_found_wherever_its_blocks_begin(name: str, quality: int) -> None:
    pixels = np.asarray(PIL.Image.open(io.BytesIO(saved(clean(name), quality))))
    for cropped in (pixels, pixels[3:, 5:]):
        found = measure_wear(cropped)
        assert found.quality is not None
        assert abs(found.quality - quality) <= 3
        assert found.strength == measure_wear(pixels, quality).strength or quality == 60


def test_a_good_file_does_not_hide_what_a_poor_one_did_before() -> None:
    poor = np.asarray(PIL.Image.open(io.BytesIO(saved(clean("coffee.jpg"), 30))))
    picture = decode(saved(poor, 95))
    assert picture.quality is not None
    assert picture.quality > 90
    assert measure_wear(picture.colour, picture.quality).strength == 1


def test_noise_in_one_part_is_removed_there() -> None:
    shares = measure_wear(np.concatenate([clean("coffee.jpg"), noisy("coffee.jpg", 12, 3)], 1)).shares
    assert shares.shape == (1, 2)
    assert shares[0, 0] == 0
    assert shares[0, 1] > 0.5


def test_large_pictures_are_measured_in_as_few_cells_as_others() -> None:
    for shape in ((8, 70_000, 1), (70_000, 8, 1), (5000, 6000, 1)):
        assert measure_wear(np.zeros(shape, np.uint8)).shares.size <= 64


@pytest.mark.parametrize("side", [12, 16, 24, 32, 48, 60])
def test_an_icon_is_not_taken_for_noise(side: int) -> None:
    for name in PHOTOS:
        icon = PIL.Image.fromarray(clean(name)).resize((side, side), PIL.Image.Resampling.BICUBIC)
        assert measure_wear(np.asarray(icon)).strength == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 200, 3), (7, 5, 1), (9, 9, 3)])
def test_pictures_of_any_size_can_be_measured(shape: tuple[int, int, int]) -> None:
    flat = measure_wear(np.full(shape, 100, np.uint8))
    assert flat.strength == 0
    assert 0 <= measure_wear(np.random.default_rng(0).integers(0, 65536, shape, np.uint16)).strength <= 1
