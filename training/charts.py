"""What networks get wrong on sight: letters, flat skies, strong edges, grey, faces. `python -m training.charts --models
faithful --sheet charts.png` prints what can be measured and writes the pictures side by side.

Drawings are shrunk to a quarter in a clean way, parts of the samples are taken as they are; the network alone enlarges
them, and is not held to its source.
"""

from __future__ import annotations

import argparse
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from upscaler import Upscaler
from upscaler.arrays import FloatArray, PixelArray

SCALE = 4
SIDE = 256
"""Pixels of a result: 64 of its source."""
EM = 33
"""Pixels of letters of 8 points at 300 dots an inch."""
CELL = (24, 36)
"""Pixels that a letter has, width and height."""
DARK, LIGHT = 40, 215
"""Levels on the two sides of edges."""
SAMPLES = Path(__file__).resolve().parent.parent / "samples"

Enlarge = Callable[[PixelArray], PixelArray]
"""Four times larger: uint8 RGB, (height, width, 3)."""


def letter(which: int) -> PixelArray:
    """Draws one of the small ones, black on white: (height, width) of CELL."""
    cell = Image.new("L", CELL, 255)
    middle = (CELL[0] / 2, CELL[1] / 2 + EM / 3)
    ImageDraw.Draw(cell).text(middle, string.ascii_lowercase[which], 0, ImageFont.load_default(EM), anchor="ms")
    return np.asarray(cell)


def written() -> PixelArray:
    """Returns which letters are on the page, as numbers: (rows, columns)."""
    across, down = SIDE // CELL[0], SIDE // CELL[1]
    return np.random.default_rng(8).integers(0, 26, (down, across)).astype(np.uint8)


def page() -> PixelArray:
    """Draws letters of 8 points in rows."""
    sheet = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for (row, column), which in np.ndenumerate(written()):
        cell = np.s_[row * CELL[1] : (row + 1) * CELL[1], column * CELL[0] : (column + 1) * CELL[0]]
        sheet[cell] = letter(int(which))[:, :, None]
    return sheet


def sky() -> PixelArray:
    """Draws nothing but one colour that becomes another."""
    slope = np.linspace(0, 1, SIDE)[:, None, None]
    colours = np.array([96, 146, 212]) * (1 - slope) + np.array([188, 214, 240]) * slope
    return np.broadcast_to(np.rint(colours), (SIDE, SIDE, 3)).astype(np.uint8)


def edges() -> PixelArray:
    """Draws a disc, and bars at several slants."""
    fine = 4  # times as large at first
    sheet = np.full((SIDE * fine, SIDE * fine, 3), LIGHT, np.uint8)
    dark = (DARK,) * 3
    cv2.circle(sheet, (70 * fine, 70 * fine), 48 * fine, dark, -1)
    for number, angle in enumerate(np.radians([0, 8, 30, 45])):
        along = np.array([np.cos(angle), np.sin(angle)]) * 200 * fine
        start = np.array([20, 140 + 28 * number]) * fine
        cv2.line(sheet, start, (start + along).astype(int), dark, 10 * fine)  # type: ignore[call-overload]
    return cv2.resize(sheet, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)


def reduced(drawing: PixelArray, filter: Image.Resampling = Image.Resampling.BICUBIC) -> PixelArray:
    """Returns a quarter of the width and height."""
    return np.asarray(Image.fromarray(drawing).resize((SIDE // SCALE,) * 2, filter))


def sample(name: str, left: int, top: int) -> PixelArray:
    """Cuts a part of one, as large as the source of a drawing."""
    side = SIDE // SCALE
    with Image.open(SAMPLES / name) as image:
        return np.asarray(image.convert("RGB").crop((left, top, left + side, top + side)))


def sources() -> dict[str, PixelArray]:
    """Returns the sources of all charts: uint8 RGB, (64, 64, 3). Edges are shrunk by the box: the bicubic filter makes
    halos itself."""
    return {
        "page": reduced(page()),
        "sky": reduced(sky()),
        "edges": reduced(edges(), Image.Resampling.BOX),
        "grey": sample("camera.jpg", 84, 24),
        "face": sample("astronaut.jpg", 80, 4),
    }


def read(result: PixelArray) -> tuple[float, float]:
    """Measures on an enlarged page the share of the letters that look most like what they are, and how like it they
    look (correlation with the drawing, at most 1)."""
    drawings = _normal(np.stack([letter(which) for which in range(26)]))
    words = written()
    rows, columns = words.shape
    grey = result.mean(2)[: rows * CELL[1], : columns * CELL[0]]
    cells = grey.reshape(rows, CELL[1], columns, CELL[0]).swapaxes(1, 2).reshape(-1, CELL[1], CELL[0])
    likeness = _normal(cells) @ drawings.T
    meant = likeness[np.arange(words.size), words.ravel()]
    return float((likeness.argmax(1) == words.ravel()).mean()), float(meant.mean())


def _normal(cells: NDArray[Any]) -> FloatArray:
    flat = cells.reshape(len(cells), -1) - cells.mean((1, 2))[:, None]
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / lengths, np.float32)


def unevenness(result: PixelArray) -> float:
    """Measures on an enlarged sky the levels by which a pixel is off at most, but for the outermost."""
    off = np.abs(result.astype(float) - sky())
    return float(off[SCALE:-SCALE, SCALE:-SCALE].max())


def halo(result: PixelArray) -> float:
    """Measures on enlarged edges the levels by which a pixel is darker than the dark side or lighter than the light
    one, at most; the outermost pixels are left out."""
    inner = result[SCALE:-SCALE, SCALE:-SCALE].astype(int)
    return float(max(DARK - inner.min(), inner.max() - LIGHT, 0))


def tint(result: PixelArray) -> float:
    """Measures on what was enlarged without colours the levels between its channels, at most."""
    return float(np.ptp(result.astype(int), axis=2).max())


def lr_rmse(result: PixelArray, small: PixelArray) -> float:
    """Computes the root mean square of the difference to the source when shrunk back by area, in levels."""
    height, width = small.shape[:2]
    shrunk = cv2.resize(result.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return float(np.sqrt(np.mean((shrunk - small) ** 2)))


def figures(results: dict[str, PixelArray]) -> dict[str, float]:
    """Measures all that can be measured on the enlarged charts."""
    right, likeness = read(results["page"])
    return {
        "letters read, %": 100 * right,
        "likeness of letters": likeness,
        "unevenness of sky": unevenness(results["sky"]),
        "halo": halo(results["edges"]),
        "tint": tint(results["grey"]),
        "lr_rmse of face": lr_rmse(results["face"], sources()["face"]),
    }


def pixels(small: PixelArray) -> PixelArray:
    """Enlarges the pixels as they are."""
    return small.repeat(SCALE, 0).repeat(SCALE, 1)


def bicubic(small: PixelArray) -> PixelArray:
    """Enlarges by the bicubic filter: the baseline."""
    height, width = small.shape[:2]
    return np.asarray(Image.fromarray(small).resize((width * SCALE, height * SCALE), Image.Resampling.BICUBIC))


def network(name: str) -> Enlarge:
    """Returns what enlarges with a network of the catalog, or a file of weights."""
    enlarge = Upscaler(name, fidelity=0)
    return lambda small: np.asarray(enlarge(small, SCALE).pixels, np.uint8)


def main() -> None:
    """Prints a table, and writes the charts, one below the other, a column for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["faithful"], help="names or files of weights")
    parser.add_argument("--sheet", type=Path, help="a PNG or JPEG to write")
    arguments = parser.parse_args()
    ways = {"pixels": pixels, "bicubic": bicubic} | {name: network(name) for name in arguments.models}
    results = {way: {name: enlarge(each) for name, each in sources().items()} for way, enlarge in ways.items()}
    measured = {way: figures(own) for way, own in results.items()}
    print("| | " + " | ".join(measured["bicubic"]) + " |")
    print("|---" * (len(measured["bicubic"]) + 1) + "|")
    for way, own in measured.items():
        print(f"| {way} | " + " | ".join(f"{value:.3g}" for value in own.values()) + " |")
    if arguments.sheet:
        columns = [np.concatenate(list(own.values())) for own in results.values()]
        Image.fromarray(np.concatenate(columns, 1)).save(arguments.sheet, quality=92)


if __name__ == "__main__":
    main()
