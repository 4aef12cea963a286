"""Faces are left alone if they are good: large, or sharp and clean; and those that are seen from the side."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from upscaler.errors import PlanError
from upscaler.faces import FaceOptions, align, reason_to_leave
from upscaler.faces.geometry import TEMPLATE
from upscaler.picture import Face

random = np.random.default_rng(0)


def drawing(side: int) -> tuple[np.ndarray, Face]:
    """Something with sharp edges on a face's landmarks, and a face of so many pixels that lies there."""
    scale = side / 300
    places = tuple((float(x), float(y)) for x, y in TEMPLATE * scale)
    size = round(512 * scale)
    pixels = np.full((size, size, 3), 190, np.uint8)
    for x, y in places:
        cv2.circle(pixels, (round(x), round(y)), max(round(30 * scale), 1), (90, 60, 50), -1)
        cv2.circle(pixels, (round(x), round(y)), max(round(12 * scale), 1), (230, 230, 230), -1)
    for x in range(0, size, max(round(40 * scale), 2)):
        cv2.line(pixels, (x, 0), (x, size), (150, 120, 110), max(round(8 * scale), 1))
    return pixels, Face(106 * scale, 100 * scale, 250 * scale, float(side), places, 0.9)


def reason(pixels: np.ndarray, face: Face, quality: int | None = None, **options: int) -> str | None:
    return reason_to_leave(face, *align(face.landmarks), pixels, quality, FaceOptions(**options))


def test_small_faces_are_restored_and_large_ones_are_not() -> None:
    assert reason(*drawing(60)) is None
    assert reason(*drawing(300)) == "it is large, 300 pixels"
    assert reason(*drawing(60), only_below=60) == "it is large, 60 pixels"


def test_between_these_a_face_that_is_sharp_and_clean_is_left_alone() -> None:
    pixels, face = drawing(140)
    assert reason(pixels, face) == "it is sharp and clean"
    assert reason(cv2.GaussianBlur(pixels, (0, 0), 4), face) is None
    noisy = np.clip(pixels + random.normal(0, 20, pixels.shape), 0, 255).astype(np.uint8)
    assert reason(noisy, face) is None
    assert reason(pixels, face, quality=30) is None
    assert reason(pixels[:, :, :1], face) == "it is sharp and clean"


def test_faces_seen_from_the_side_are_left_alone() -> None:
    pixels, face = drawing(60)
    x = np.array(face.landmarks)[:, 0]
    aside = [(float(40 + 0.1 * (each - 40)), y) for each, (_, y) in zip(x, face.landmarks, strict=True)]
    matrix, misfit = align(aside)
    assert reason_to_leave(face, matrix, misfit, pixels, None, FaceOptions()) == "it is seen too far from the side"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"strength": 1.5}, "face_strength=1.5: the value must be between 0 and 1."),
        ({"only_below": 0}, "faces_only_below=0: the value must be a whole number between 1 and 1000000."),
        ({"model": 3}, "face_model=3: this names no model."),
    ],
)
def test_options_out_of_range_name_their_argument(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(PlanError) as raised:
        FaceOptions(**options)
    assert str(raised.value) == sentence
