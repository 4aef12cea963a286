"""Draws what photographs lack: pages of text, line drawings, screens. Made of fonts and random numbers alone."""

from __future__ import annotations

import string
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from upscaler.arrays import PixelArray

from .degradation import Random, pick

FINE = 2
"""Drawings are made this many times larger and then reduced, for smooth edges."""
FONTS = sorted(Path("/usr/share/fonts").rglob("*.ttf"))
"""Those of the machine; Pillow's own is one more."""
LETTERS = {
    string.ascii_lowercase: 0.62,
    string.ascii_uppercase: 0.12,
    string.digits: 0.14,
    ".,;:!?'\"()[]/+-=%&@#*<>": 0.04,
    "äöüßéèçñåøõąłžšğ": 0.04,
    "абвгдежзиклмнопрстуфхцчшщыьэюя": 0.04,
}

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]


def page(side: int, random: Random) -> PixelArray:
    """A page of text, a drawing or a screen: uint8 RGB, (side, side, 3)."""
    draw = pick({text: 0.5, drawing: 0.25, screen: 0.25}, random)
    sheet = Image.new("RGB", (side * FINE, side * FINE), _paper(random))
    draw(sheet, random)
    return np.asarray(sheet.reduce(FINE))


def text(sheet: Image.Image, random: Random) -> None:
    """Lines of one size in one font, dark on light or light on dark."""
    pen = ImageDraw.Draw(sheet)
    # A truth of 20 to 90 pixels an em is a source of 5 to 22: from hardly readable to the size of a heading.
    font = _font(random, round(FINE * float(np.exp(random.uniform(np.log(20), np.log(90))))))
    ink = _ink(sheet.getpixel((0, 0)), random)
    top = -float(random.uniform(0, font.size))
    while top < sheet.height:
        line = " ".join(_word(random) for _ in range(2 + 3 * sheet.width // round(font.size * 4)))
        pen.text((-float(random.uniform(0, 2 * font.size)), top), line, ink, font)
        top += font.size * float(random.uniform(1.1, 1.6))


def drawing(sheet: Image.Image, random: Random) -> None:
    """Flat shapes with and without outlines, curves, hatching."""
    pen = ImageDraw.Draw(sheet)
    for _ in range(int(random.integers(4, 14))):
        fill = _colour(random) if random.random() < 0.6 else None
        width = FINE * int(random.integers(1, 9))
        points = [_point(sheet, random) for _ in range(int(random.integers(2, 7)))]
        kind = random.integers(4)
        if kind == 0 and len(points) > 2:
            pen.polygon(points, fill, _colour(random), width)
        elif kind == 1:
            pen.ellipse(_box(sheet, random), fill, _colour(random), width)
        elif kind == 2:
            pen.arc(_box(sheet, random), random.uniform(0, 180), random.uniform(180, 360), _colour(random), width)
        else:
            pen.line(points, _colour(random), width, joint="curve")
    if random.random() < 0.3:
        (x, y), gap, slant = _point(sheet, random), FINE * int(random.integers(4, 20)), float(random.uniform(-1, 1))
        for step in range(24):
            start = (x + gap * step, y)
            pen.line([start, (start[0] + slant * 200 * FINE, y + 200 * FINE)], _colour(random, 60), FINE)


def screen(sheet: Image.Image, random: Random) -> None:
    """Panels, rules, buttons and labels, all upright, as programs show them."""
    pen = ImageDraw.Draw(sheet)
    for _ in range(int(random.integers(3, 12))):
        box = _box(sheet, random)
        outline = _colour(random) if random.random() < 0.5 else None
        radius = FINE * int(random.choice([0, 0, 4, 8, 16]))
        panel = _colour(random)
        pen.rounded_rectangle(box, radius, panel, outline, FINE * int(random.integers(1, 5)))
        if random.random() < 0.7:
            font = _font(random, FINE * int(random.integers(24, 64)))
            words = " ".join(_word(random) for _ in range(3))
            pen.text((box[0] + 8 * FINE, box[1] + 4 * FINE), words, _ink(panel, random), font)
    for _ in range(int(random.integers(0, 6))):
        (x, y), width = _point(sheet, random), FINE * int(random.integers(1, 5))
        across = bool(random.random() < 0.5)
        pen.line([(0, y), (sheet.width, y)] if across else [(x, 0), (x, sheet.height)], _colour(random), width)


def _word(random: Random) -> str:
    letters = pick(LETTERS, random)
    return "".join(random.choice(list(letters), int(random.integers(1, 10))))


def _font(random: Random, size: int) -> ImageFont.FreeTypeFont:
    return _opened(str(random.choice([str(font) for font in FONTS] or [""])) if random.random() < 0.8 else "", size)


@lru_cache(maxsize=64)
def _opened(file: str, size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.truetype(file, size) if file else ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _paper(random: Random) -> Colour:
    if random.random() < 0.4:
        return _colour(random)
    shade = 255 if random.random() < 0.6 else int(random.integers(225, 255))
    return shade, shade, shade


def _ink(paper: object, random: Random) -> Colour:
    """Far from the paper in brightness, mostly."""
    brightness = float(np.mean(np.asarray(paper, float)))
    faint = int(random.integers(0, 110))
    return (faint, faint, faint) if brightness > 128 and random.random() < 0.7 else _away(brightness, random)


def _away(brightness: float, random: Random) -> Colour:
    red, green, blue = (int(level) for level in random.integers(0, 110, 3))
    return (red, green, blue) if brightness > 128 else (255 - red, 255 - green, 255 - blue)


def _colour(random: Random, most: int = 256) -> Colour:
    if random.random() < 0.25:
        shade = int(random.integers(0, most))
        return shade, shade, shade
    red, green, blue = (int(level) for level in random.integers(0, most, 3))
    return red, green, blue


def _point(sheet: Image.Image, random: Random) -> tuple[float, float]:
    return float(random.uniform(-0.1, 1.1) * sheet.width), float(random.uniform(-0.1, 1.1) * sheet.height)


def _box(sheet: Image.Image, random: Random) -> Box:
    left, top = (int(random.uniform(-0.2, 0.9) * side) for side in sheet.size)
    width, height = (int(random.uniform(0.08, 0.7) * side) for side in sheet.size)
    return left, top, left + width, top + height
