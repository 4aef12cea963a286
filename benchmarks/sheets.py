"""Sheets for the eye: a page for each kind of source, a row for each photograph, a column for each model."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from worn import Case

from upscaler.arrays import PixelArray

PIECE = 200
"""Pixels of a side of what is shown of a result."""
CAPTION = 16
LETTERS = 30
"""Of a caption: more are wider than a piece."""


STRIP = {"chelsea.png": "clean", "astronaut.jpg": "noise 20", "camera.jpg": "grain", "coffee.jpg": "jpeg 25"}
"""Samples and kinds of sources of the sheet that cards and the README show."""


def write(folder: Path, results: dict[str, list[PixelArray]], cases: list[Case]) -> None:
    """Writes PNG files with the kinds as their names, and strip.jpg."""
    folder.mkdir(parents=True, exist_ok=True)
    pages: dict[str, list[PixelArray]] = {}
    for index, case in enumerate(cases):
        row = compare(case, {model: pictures[index] for model, pictures in results.items()})
        pages.setdefault(case.kind.replace(" ", "-"), []).append(row)
        if STRIP.get(case.photo) == case.kind:
            pages.setdefault("strip", []).append(row)
    for name, rows in pages.items():
        page = Image.fromarray(np.concatenate(rows))
        page.save(folder / ("strip.jpg" if name == "strip" else f"{name}.png"), quality=90)


def compare(case: Case, results: dict[str, PixelArray]) -> PixelArray:
    """Returns one row: the source, the results and the truth, where there is most detail."""
    top, left = busiest(case.truth)
    shown = {f"source, {case.kind}": np.repeat(np.repeat(case.source, 4, 0), 4, 1), **results, "truth": case.truth}
    pieces = {name: each[top : top + PIECE, left : left + PIECE] for name, each in shown.items()}
    return np.concatenate([captioned(piece, name) for name, piece in pieces.items()], axis=1)


def busiest(truth: PixelArray) -> tuple[int, int]:
    """Top and left of the piece of most detail."""
    grey = cv2.cvtColor(truth, cv2.COLOR_RGB2GRAY)
    detail = cv2.boxFilter(np.abs(cv2.Laplacian(grey, cv2.CV_64F)), -1, (PIECE, PIECE), anchor=(0, 0))
    height, width = (max(length - PIECE, 0) + 1 for length in truth.shape[:2])
    top, left = np.unravel_index(np.argmax(detail[:height, :width]), (height, width))
    return int(top), int(left)


def captioned(piece: PixelArray, caption: str) -> PixelArray:
    """Beside others: within a white frame, the caption above."""
    framed = np.full((PIECE + CAPTION, PIECE + 4, 3), 255, np.uint8)
    framed[CAPTION : CAPTION + len(piece), : piece.shape[1]] = piece
    name = caption.rsplit("/", 1)[-1][-LETTERS:]
    return np.asarray(cv2.putText(framed, name, (0, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (0, 0, 0)), np.uint8)
