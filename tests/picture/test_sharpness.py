"""The size at which a picture still holds its detail: what it was before it was enlarged."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.pictures import sample
from upscaler.arrays import PixelArray
from upscaler.picture import measure_detail, reduce_to
from upscaler.tiling import Size

SHARP = ("astronaut.jpg", "coffee.jpg", "lineart.png", "text.png")


def picture(name: str) -> PixelArray:
    return np.rint(255 * sample(name)).astype(np.uint8)


@pytest.mark.parametrize("name", SHARP)
def test_a_sharp_picture_needs_all_of_its_size(name: str) -> None:
    assert measure_detail(picture(name)) == 1


@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg"])
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("wear", ["", "noise", "jpeg"])
def test_an_enlarged_picture_needs_what_it_had_before(name: str, factor: int, wear: str) -> None:
    larger = cv2.resize(picture(name), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    if wear == "noise":
        larger = larger + np.random.default_rng(0).normal(0, 6, larger.shape)
        larger = np.clip(larger, 0, 255).astype(np.uint8)
    if wear == "jpeg":
        larger = cv2.imdecode(cv2.imencode(".jpg", larger, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_COLOR)
    found = measure_detail(np.asarray(larger, np.uint8))
    assert 0.85 / factor < found < 1.75 / factor


def test_noise_alone_and_icons_are_left_as_they_are() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    assert measure_detail(noise) == 1
    assert measure_detail(noise[:20]) == 1


def test_a_flat_picture_needs_little_and_depth_and_grey_change_nothing() -> None:
    assert measure_detail(np.full((64, 64, 3), 90, np.uint8)) < 0.3
    grey = picture("coffee.jpg")[:, :, 1:2]
    assert measure_detail(grey.astype(np.uint16) * 257) == measure_detail(grey)


def test_reducing_keeps_type_and_channels() -> None:
    for channels in (1, 3):
        reduced = reduce_to(np.full((40, 60, channels), 7, np.uint16), Size(30, 20))
        assert (reduced.shape, reduced.dtype) == ((20, 30, channels), np.uint16)
        assert (reduced == 7).all()
