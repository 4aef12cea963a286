"""Faces are found by genuine YuNet and CenterFace: at every size, place and angle, and not where there are none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.faces.restorers import DETECTORS, detector_file
from tests.pictures import sample
from upscaler.errors import ModelError
from upscaler.faces import FaceDetector, align
from upscaler.faces.geometry import scale_of

EYES = np.array([(101, 52), (122, 52)])
"""Where the eyes of samples/astronaut.jpg are."""


@pytest.fixture(params=DETECTORS, name="detector")
def _detector(request: pytest.FixtureRequest) -> FaceDetector:
    return FaceDetector.load(detector_file(request.param))


def photo() -> np.ndarray:
    return np.rint(sample("astronaut.jpg") * 255).astype(np.uint8)


def angle(matrix: np.ndarray) -> float:
    return float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))


def test_a_face_is_found_with_its_eyes(detector: FaceDetector) -> None:
    (face,) = detector.find(photo())
    assert np.abs(np.array(face.landmarks[:2]) - EYES).max() < 3
    assert 45 < face.side < 70


@pytest.mark.parametrize("turn", range(-180, 180, 30))
def test_a_face_is_found_and_turned_upright_whichever_way_it_is_turned(detector: FaceDetector, turn: int) -> None:
    """YuNet sees a face that is turned by 30 degrees as more upright than it is."""
    move = cv2.getRotationMatrix2D((112, 60), turn, 1)
    turned = cv2.warpAffine(photo(), move, (256, 256), borderMode=cv2.BORDER_REPLICATE)
    (face,) = detector.find(turned)
    matrix, misfit = align(face.landmarks)
    assert abs((angle(matrix) - turn + 180) % 360 - 180) < 22
    assert misfit < 0.2
    assert 5 < scale_of(matrix) < 7.5


@pytest.mark.parametrize("kind", ["grey", "16 bits", "shrunk", "in a large picture", "as large as the picture"])
def test_faces_are_found_in_pictures_of_every_kind(detector: FaceDetector, kind: str) -> None:
    pixels = photo()
    if kind == "grey":
        pixels = pixels[:, :, 1:2]
    elif kind == "16 bits":
        pixels = pixels.astype(np.uint16) * 257
    elif kind == "shrunk":
        pixels = cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_AREA)
    elif kind == "in a large picture":
        pixels = np.pad(pixels, ((1500, 900), (1900, 700), (0, 0)), mode="edge")
    else:
        pixels = cv2.resize(pixels[15:105, 70:160], (1700, 1700), interpolation=cv2.INTER_CUBIC)
    assert len(detector.find(pixels)) == 1


def test_faces_of_every_direction_are_turned_upright_on_a_page_of_several_tiles() -> None:
    """What is seen of a face that lies, by a detector that looks at it as if it stood, is another face's place."""
    tiles = [np.rot90(photo(), turns) for turns in (0, 1, 2, 3)]
    page = np.concatenate([np.concatenate(tiles, axis=1), np.concatenate(tiles[::-1], axis=1)])
    page = np.pad(page, ((0, 0), (0, 176), (0, 0)))
    detector = FaceDetector.load(detector_file("yunet"))
    found = detector.find(page)
    turns = sorted(round(angle(align(face.landmarks)[0]) / 90) % 4 for face in found)
    assert turns == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_face_is_found_once_where_tiles_overlap(detector: FaceDetector) -> None:
    row = np.concatenate([photo()] * 9, axis=1)
    assert len(detector.find(row)) == 9


@pytest.mark.parametrize("name", ["coffee.jpg", "chelsea.png", "text.png", "lineart.png", "logo.png"])
def test_no_face_is_found_where_there_is_none(detector: FaceDetector, name: str) -> None:
    pixels = np.rint(sample(name)[:, :, :3] * 255).astype(np.uint8)
    assert detector.find(pixels) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (2000, 5)])
def test_pictures_of_odd_sizes_are_looked_at(detector: FaceDetector, size: tuple[int, int]) -> None:
    assert detector.find(np.zeros((*size, 3), np.uint8)) == []


def test_a_damaged_file_and_another_network_are_refused_in_a_sentence(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(detector_file("yunet").read_bytes()[:100_000])
    with pytest.raises(ModelError, match=r"damaged.onnx: the file cannot be read as a detector of faces \(.+\). Get"):
        FaceDetector.load(damaged)
