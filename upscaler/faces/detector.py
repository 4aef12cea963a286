"""Finds faces with YuNet (Wu et al., 2023) or CenterFace (Xu et al., 2020), by OpenCV, on the CPU.

Both see faces of some ten to three hundred pixels. So the picture is looked at at its own size, in tiles, and shrunk
to half, a quarter and so on. Where it has become small it is looked at in all four directions too, so that faces are
found whichever way they are turned.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, PixelArray
from ..errors import ModelError, first_line
from ..picture import Face
from .geometry import EYES, SIDE, TEMPLATE, Affine, align, cut, invert

UNSURE = 0.15
"""How much less than sure a detector may be of a face at first. Then it looks again at the face alone, turned upright
and as large as suits it, and must be about as sure in the mean of both: a mistake would draw a face where there is none
(YuNet takes leaves, birds and clouds for faces with up to 0.84 at first; at the second look it saw one of eleven
again)."""

TOLERANCE = 0.05
"""How much less than sure it may be in the mean of both."""

LOOK = 128
"""Pixels a side of the square in which a face is looked at again."""

LOOKS = 3
"""How often: YuNet takes a face for more upright than it is, by half at each look."""

OFF = 0.8
"""How far from where they should be its landmarks may lie then, in the mean, in terms of the distance between the
eyes."""

SMALLEST = 12
"""Pixels of the longer side of the smallest face: of smaller ones nothing can be told."""

TILE = 1024
"""Pixels of a side of a tile."""

TURNED = 2**21
"""Pixels of the largest picture that is looked at in all four directions."""

OVERLAP = 192
"""Pixels that tiles share. Larger faces are found where the picture is shrunk."""

STEP = 2
"""How much smaller the picture is at the next look."""

COARSEST = 256
"""Pixels of the longer side of a picture that is not shrunk any more."""

SAME = 0.5
"""Share of the smaller one of two boxes, if it lies in the other, from which on they are taken for one face; also a
"face" within a face."""

CELL = 4
"""Pixels a side for each number that CenterFace gives."""

Boxes = NDArray[np.float64]
"""(faces, 15): x, y, width and height of the box, x and y of the five landmarks, the score."""

NONE: Boxes = np.empty((0, 15))


class _Network(Protocol):
    @property
    def sure(self) -> float:
        """The score of which hardly any mistake has more."""
        ...

    def __call__(self, bgr: NDArray[np.uint8]) -> Boxes:
        """Finds faces in a small picture, (height, width, 3), blue first."""
        ...


class FaceDetector:
    """Finds the faces in pictures of any size. May be called from several threads."""

    def __init__(self, network: _Network) -> None:
        """Takes a function that finds faces in small pictures; see `load`."""
        self._network = network
        self._lock = threading.Lock()

    @classmethod
    def load(cls, file: Path) -> FaceDetector:
        """Loads a detector from an ONNX file, YuNet's or CenterFace's. Raises ModelError for any other."""
        try:
            outputs = tuple(cv2.dnn.readNetFromONNX(str(file)).getUnconnectedOutLayersNames())
            network: _Network | None = None
            if {"cls_8", "obj_8", "bbox_8", "kps_8"} <= set(outputs):
                network = _YuNet(file)
            elif len(outputs) == 4:
                network = _CenterFace(file)
            if network is not None:
                network(np.zeros((64, 64, 3), np.uint8))
                return cls(network)
        except (cv2.error, ValueError, IndexError) as error:
            raise ModelError(
                f"{file}: the file cannot be read as a detector of faces ({first_line(error)}). Get it from its author."
            ) from error
        raise ModelError(f"{file}: the network is neither YuNet nor CenterFace, which find faces. Choose another.")

    def find(self, pixels: PixelArray) -> list[Face]:
        """Finds the faces in pixels, (height, width, 1 or 3), uint8 or uint16; the surest comes first."""
        found = [NONE]
        shrunk, x_factor, y_factor = pixels, 1.0, 1.0
        while True:
            height, width = shrunk.shape[:2]
            boxes = np.concatenate([NONE, *self._look(shrunk)])
            found.append(boxes * np.array([x_factor, y_factor] * 7 + [1]))
            if max(height, width) <= COARSEST:
                break
            shrunk = _shrink(shrunk)
            x_factor *= width / shrunk.shape[1]
            y_factor *= height / shrunk.shape[0]
        boxes = np.concatenate(found)
        boxes = boxes[boxes[:, 2:4].max(axis=1) >= SMALLEST]
        faces = [self._confirm(_face(boxes[index]), pixels) for index in _select(boxes)]
        return [face for face in faces if face is not None]

    def locate(self, square: FloatArray) -> list[tuple[NDArray[np.float64], float]]:
        """Finds the face in a square, (side, side, 1 or 3), 0..1, into which it was cut; see `geometry.cut`.

        Returns its landmarks, (5, 2), in pixels of a square of SIDE, and the score; nothing if there is no such face.
        """
        if square.shape[0] != LOOK:
            small: Any = cv2.resize(square, (LOOK, LOOK), interpolation=cv2.INTER_AREA)
            square = small.reshape(LOOK, LOOK, -1)
        boxes = self._run(_to_bgr(np.rint(square * 255).astype(np.uint8)))
        marks = SIDE / LOOK * boxes[:, 4:14].reshape(-1, 5, 2)
        off = np.linalg.norm(marks - TEMPLATE, axis=2).mean(axis=1) / EYES
        nearest = np.argsort(off)[:1]
        return [(marks[index], float(boxes[index, 14])) for index in nearest if off[index] <= OFF]

    def _confirm(self, face: Face, pixels: PixelArray) -> Face | None:
        """Looks again at a face, and returns it with better landmarks; None if it is probably none."""
        sure, scores = self._network.sure, [face.score]
        for look in range(LOOKS):
            matrix, _ = align(face.landmarks)
            seen = [
                (score, marks, turned)
                for turned in ([matrix] if look else _turn(matrix))  # a face that lies may be taken for one that stands
                for marks, score in self.locate(cut(pixels, turned, LOOK))
            ]
            if not seen:
                break
            score, marks, matrix = max(seen, key=lambda each: each[0])
            scores.append(score)
            back = invert(matrix)
            places = marks @ back[:, :2].T + back[:, 2]
            face = replace(face, landmarks=tuple((float(x), float(y)) for x, y in places))
        is_likely = len(scores) > 1 and sum(scores[:2]) / 2 >= sure - TOLERANCE
        return face if is_likely or scores[0] >= sure else None

    def _look(self, pixels: PixelArray) -> Iterator[Boxes]:
        """Finds faces at one size, in tiles; in a picture of up to TURNED pixels in all four directions."""
        height, width = pixels.shape[:2]
        for y in _starts(height):
            for x in _starts(width):
                part = pixels[y : y + TILE, x : x + TILE]
                tile = _to_bgr(part)
                for turns in range(4 if height * width <= TURNED else 1):
                    boxes = self._run(np.ascontiguousarray(np.rot90(tile, turns)))
                    boxes = _turn_back(boxes, turns, tile.shape[1], tile.shape[0])
                    boxes = _inside(boxes, (x, y, width, height), part.shape)
                    yield boxes + np.array([x, y, 0, 0, *[x, y] * 5, 0])

    def _run(self, bgr: NDArray[np.uint8]) -> Boxes:
        with self._lock:
            return self._network(bgr)


class _YuNet:
    sure = 0.85

    def __init__(self, file: Path) -> None:
        with _silence():
            self._detector = cv2.FaceDetectorYN.create(str(file), "", (64, 64), self.sure - UNSURE, 0.3, 5000)

    def __call__(self, bgr: NDArray[np.uint8]) -> Boxes:
        self._detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        boxes = self._detector.detect(bgr)[1]
        return NONE if boxes is None else boxes.astype(float)


class _CenterFace:
    """A network that gives, for each cell of four pixels a side, whether it is the middle of a face, the logarithms of
    the face's height and width, how far its middle is from the cell's corner, and its landmarks in terms of its box."""

    sure = 0.7

    def __init__(self, file: Path) -> None:
        self._network = cv2.dnn.readNetFromONNX(str(file))
        self._outputs = self._network.getUnconnectedOutLayersNames()

    def __call__(self, bgr: NDArray[np.uint8]) -> Boxes:
        height, width = bgr.shape[:2]
        padded = cv2.copyMakeBorder(bgr, 0, -height % 32, 0, -width % 32, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        self._network.setInput(cv2.dnn.blobFromImage(padded, swapRB=True))
        heat, sizes, offsets, places = (output[0] for output in self._network.forward(self._outputs))
        rows, columns = np.nonzero(heat[0] > self.sure - UNSURE)
        tall, wide = (CELL * np.exp(sizes[:, rows, columns])).astype(float)
        x = CELL * (columns + offsets[1, rows, columns] + 0.5) - wide / 2
        y = CELL * (rows + offsets[0, rows, columns] + 0.5) - tall / 2
        marks = [
            value
            for mark in range(0, 10, 2)
            for value in (x + wide * places[mark + 1, rows, columns], y + tall * places[mark, rows, columns])
        ]
        boxes: Boxes = np.stack([x, y, wide, tall, *marks, heat[0, rows, columns]], axis=1)
        return boxes[_select(boxes)]


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps OpenCV 5 from printing that it knows one target only, as it does when it loads YuNet."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _turn(matrix: Affine) -> Iterator[Affine]:
    """Yields maps to the square as it is, and turned left once, twice and three times."""
    for _ in range(4):
        yield matrix
        matrix = np.stack([matrix[1], np.array([0, 0, SIDE]) - matrix[0]])


def _starts(length: int) -> list[int]:
    """Returns where tiles begin along a side; the last one ends where the side does."""
    count = max(math.ceil((length - OVERLAP) / (TILE - OVERLAP)), 1)
    return [round(index * max(length - TILE, 0) / max(count - 1, 1)) for index in range(count)]


def _inside(boxes: Boxes, place: tuple[int, int, int, int], shape: tuple[int, ...]) -> Boxes:
    """Returns the faces of a tile that are whole: no side of a box lies on a side of the tile within the picture.

    `place`: where the tile begins, and the size of the picture; `shape`: the tile's.
    """
    x, y, width, height = place
    left, top = boxes[:, 0], boxes[:, 1]
    right, bottom = left + boxes[:, 2], top + boxes[:, 3]
    whole = ((left > 2) | (x == 0)) & ((top > 2) | (y == 0))
    whole &= ((right < shape[1] - 2) | (x + shape[1] == width)) & ((bottom < shape[0] - 2) | (y + shape[0] == height))
    return boxes[whole]


def _turn_back(boxes: Boxes, turns: int, width: int, height: int) -> Boxes:
    """Turns boxes and landmarks, found in a picture that was turned left so many times, to where they are in it."""
    marks = boxes[:, 4:14].reshape(-1, 5, 2)
    near, far = boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]
    points = np.concatenate([near[:, None], far[:, None], marks], axis=1)
    for turn in range(turns, 0, -1):  # a picture turned an odd number of times is as wide as the other is high
        across = width if turn % 2 else height
        points = np.stack([across - points[..., 1], points[..., 0]], axis=2)
    near, far = points[:, :2].min(axis=1), points[:, :2].max(axis=1)
    return np.concatenate([near, far - near, points[:, 2:].reshape(-1, 10), boxes[:, 14:]], axis=1)


def _select(boxes: Boxes) -> list[int]:
    """Returns which boxes are kept, the surest first: those that are not mostly within a surer one, nor around it."""
    kept: list[int] = []
    near, far = boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]
    areas = boxes[:, 2:4].prod(axis=1)
    for index in np.argsort(-boxes[:, 14], kind="stable"):
        shared = np.minimum(far[kept], far[index]) - np.maximum(near[kept], near[index])
        if (np.maximum(shared, 0).prod(axis=1) <= SAME * np.minimum(areas[kept], areas[index])).all():
            kept.append(int(index))
    return kept


def _face(box: NDArray[np.float64]) -> Face:
    x, y, width, height = map(float, box[:4])
    marks = tuple((float(box[index]), float(box[index + 1])) for index in range(4, 14, 2))
    return Face(x, y, width, height, marks, float(min(box[14], 1)))


def _to_bgr(pixels: PixelArray) -> NDArray[np.uint8]:
    """Converts a tile to 8 bits and three channels, blue first; it becomes at least 64 pixels wide and high."""
    whole: Any = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    whole = np.repeat(whole, 3, axis=2) if whole.shape[2] == 1 else whole[:, :, ::-1]
    height, width = whole.shape[:2]
    missing = ((0, max(64 - height, 0)), (0, max(64 - width, 0)), (0, 0))
    return np.ascontiguousarray(np.pad(whole, missing) if height < 64 or width < 64 else whole)


def _shrink(pixels: PixelArray) -> PixelArray:
    """Shrinks a picture to half of its sides by area, in strips, since a large one may be on a disk."""
    size = -(-pixels.shape[1] // STEP)
    parts: Any = []
    for y in range(0, len(pixels), TILE):
        strip: Any = np.ascontiguousarray(pixels[y : y + TILE])
        part = cv2.resize(strip, (size, -(-len(strip) // STEP)), interpolation=cv2.INTER_AREA)
        parts.append(part.reshape(*part.shape[:2], pixels.shape[2]))
    shrunk: PixelArray = np.concatenate(parts)
    return shrunk
