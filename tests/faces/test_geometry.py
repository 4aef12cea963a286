"""A face is cut out and put back where it was, at every size and angle, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pictures import sample
from upscaler.faces import SIDE, align, can_be_seen, cut, from_result, keep_tone, measure_difference, paste
from upscaler.faces.geometry import TEMPLATE, Affine, invert, mask_in, measure_shift, scale_of
from upscaler.picture import resize
from upscaler.tiling import Region, Size, Window

WIDTH, HEIGHT = 192, 160


def photo() -> np.ndarray:
    return sample("coffee.jpg")[:HEIGHT, :WIDTH]


def whole(pixels: np.ndarray, full: int) -> np.ndarray:
    return np.rint(pixels * full).astype(np.uint8 if full == 255 else np.uint16)


def place(x: float, y: float, scale: float, turn: float) -> Affine:
    """The map from the picture to a face's square that has its middle at x, y."""
    cos, sin = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    linear = np.array([(cos, -sin), (sin, cos)])
    return np.concatenate([linear, SIDE / 2 - linear @ [[x], [y]]], axis=1)


def test_landmarks_are_brought_where_restorers_want_them() -> None:
    matrix = place(70, 60, 4, 35)
    back = invert(matrix)
    found, misfit = align([tuple(point) for point in TEMPLATE @ back[:, :2].T + back[:, 2]])
    assert np.allclose(found, matrix)
    assert misfit < 1e-9
    assert scale_of(found) == pytest.approx(4)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("times", [2, 3.3, 4])
@pytest.mark.parametrize(
    "spot", [(96, 80, 5, 0), (90, 85, 4, 40), (96, 80, 6, 180), (10, 150, 5, -25), (96, 80, 3.5, 90)]
)
def test_a_face_put_back_as_it_was_cut_changes_little_within_the_mask_and_nothing_outside(
    spot: tuple[float, float, float, float], times: float, depth: int
) -> None:
    full = 255 if depth == 8 else 65535
    matrix, size = place(*spot), Size(round(WIDTH * times), round(HEIGHT * times))
    large = whole(np.clip(resize(photo(), size), 0, 1), full)
    back = from_result(matrix, Size(WIDTH, HEIGHT), Window.all(size))
    canvas = large.copy()
    paste(canvas, cut(whole(photo(), full), matrix), back, 1.0)
    mask = mask_in(back, size) > 0
    levels = np.abs(canvas.astype(int) - large) * 255 / full
    assert np.array_equal(canvas[~mask], large[~mask])
    assert (canvas != large).any()
    assert levels[mask].mean() < 1  # the filters are not quite alike, as can be seen of the finest texture
    assert np.quantile(levels[mask], 0.9) <= 2.5


def test_a_face_put_back_at_its_own_size_changes_little() -> None:
    canvas, matrix = whole(photo(), 255), place(96, 80, 4.5, 10)
    before = canvas.copy()
    paste(canvas, cut(before, matrix), matrix, 1.0)
    assert np.abs(canvas.astype(int) - before).mean() < 0.6


def test_strength_mixes_and_0_changes_nothing() -> None:
    canvas = np.full((100, 100, 3), 100, np.uint8)
    matrix, white = place(50, 50, 5.12, 0), np.ones((SIDE, SIDE, 3), np.float32)
    for strength, level in (0.0, 100), (0.4, 162), (1.0, 255):
        result = canvas.copy()
        paste(result, white, matrix, strength)
        assert (result[50, 50] == level).all()
        assert (result[0] == 100).all()


def test_a_part_of_a_result_gets_the_same_pixels_as_the_whole() -> None:
    matrix, size = place(90, 85, 4, 20), Size(WIDTH, HEIGHT)
    face = cut(whole(photo(), 255), matrix)
    large = np.zeros((4 * HEIGHT, 4 * WIDTH, 3), np.uint8)
    part = large[150:450, 200:500].copy()
    paste(large, face, from_result(matrix, size, Window.all(size.scaled(4))), 1.0)
    paste(part, face, from_result(matrix, size, Window(size.scaled(4), Region(200, 150, 300, 300))), 1.0)
    assert np.abs(part.astype(int) - large[150:450, 200:500]).max() <= 1
    assert part.any()


def test_large_results_are_made_in_strips_without_seams() -> None:
    """The filter has a place for each 32nd of a pixel, so that equal rows may differ by a level."""
    ramp = np.repeat(np.linspace(0.2, 0.8, SIDE, dtype=np.float32)[:, None, None], SIDE, axis=1).repeat(3, axis=2)
    canvas = np.zeros((1100, 1100, 3), np.uint8)
    paste(canvas, ramp, place(550, 550, 0.5, 0), 1.0)
    assert np.abs(np.diff(canvas[400:800, 550, 0].astype(int))).max() <= 1


def test_the_mask_fades_over_some_pixels_of_the_result_however_small_it_is() -> None:
    row = mask_in(place(15, 15, 20, 0), Size(30, 30))[15]
    assert ((row > 0) & (row < 1)).sum() >= 6
    assert row.max() == 1
    assert row[0] == row[-1] == 0


def test_a_square_beyond_the_picture_cannot_be_seen() -> None:
    assert can_be_seen(place(-20, 50, 5, 0), Size(100, 100))
    assert not can_be_seen(place(-200, 50, 5, 0), Size(100, 100))


def test_coarse_colours_are_the_sources() -> None:
    source = cut(whole(0.8 * photo(), 255), place(96, 80, 5, 0))
    assert np.allclose(keep_tone(source + np.float32(0.1), source), source, atol=1e-3)
    assert np.allclose(keep_tone(source, source), source)


def test_distances_are_told() -> None:
    matrix = place(96, 80, 5, 0)
    source = np.full((SIDE, SIDE, 3), 0.4, np.float32)
    fine = source + 0.2 * (np.indices((SIDE, SIDE)).sum(axis=0) % 2 - 0.5)[:, :, None].astype(np.float32)
    assert measure_difference(source + np.float32(0.1), source, matrix) == pytest.approx(25.5, abs=0.01)
    assert measure_difference(fine, source, matrix) < 1
    assert measure_shift(TEMPLATE, TEMPLATE + np.array([12.6, 0])) == pytest.approx(10, abs=0.1)
