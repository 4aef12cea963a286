"""Draws what photographs lack: pages of text, line drawings, screens. Made of fonts and random numbers alone."""

from __future__ import annotations

import string
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from upscaler.arrays import PixelArray

from .chance import Random, pick

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


def draw_page(side: int, random: Random) -> PixelArray:
    """Draws a page of text, a drawing or a screen: uint8 RGB, (side, side, 3)."""
    draw = pick({text: 0.4, drawing: 0.2, screen: 0.2, comic: 0.2}, random)
    sheet = Image.new("RGB", (side * FINE, side * FINE), _paper(random))
    draw(sheet, random)
    return np.asarray(sheet.reduce(FINE))


def text(sheet: Image.Image, random: Random) -> None:
    """Writes lines of one size in one font, dark on light or light on dark."""
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
    """Draws flat shapes with and without outlines, curves, hatching."""
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
    """Draws panels, rules, buttons and labels, all upright, as programs show them."""
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


def comic(sheet: Image.Image, random: Random) -> None:
    """Draws shapes in flat colours or in the dots of a printed tone, strokes that swell, and a balloon of words."""
    pen = ImageDraw.Draw(sheet)
    is_grey = random.random() < 0.4
    for _ in range(int(random.integers(2, 6))):
        outline = _curve(_point(sheet, random), _point(sheet, random), sheet, random)
        fill = (int(random.integers(256)),) * 3 if is_grey else _colour(random)
        if random.random() < 0.6:
            pen.polygon(outline, fill)
        else:
            mask = Image.new("L", sheet.size)
            ImageDraw.Draw(mask).polygon(outline, 255)
            sheet.paste(_tone(sheet.size, fill, random), mask=mask)
    for _ in range(int(random.integers(3, 14))):
        _stroke(pen, _curve(_point(sheet, random), _point(sheet, random), sheet, random), random)
    if random.random() < 0.5:
        left, top, right, bottom = _box(sheet, random)
        pen.ellipse((left, top, right, bottom), (255, 255, 255), (0, 0, 0), FINE * int(random.integers(2, 6)))
        font = _font(random, FINE * int(random.integers(20, 48)))
        for line in range(3):
            middle = ((left + right) / 2, (top + bottom) / 2 + (line - 1) * font.size * 1.2)
            pen.text(middle, _word(random).upper(), (0, 0, 0), font, anchor="mm")


def _curve(
    start: tuple[float, float], end: tuple[float, float], sheet: Image.Image, random: Random
) -> list[tuple[float, float]]:
    """Returns points of a cubic curve of Bezier's between two points."""
    corners = np.array([start, _point(sheet, random), _point(sheet, random), end])
    places = np.linspace(0, 1, 60)[:, None]
    weights = [(1 - places) ** 3, 3 * places * (1 - places) ** 2, 3 * places**2 * (1 - places), places**3]
    points = sum(weight * corner for weight, corner in zip(weights, corners, strict=True))
    return [(float(x), float(y)) for x, y in np.asarray(points)]


def _stroke(pen: ImageDraw.ImageDraw, points: list[tuple[float, float]], random: Random) -> None:
    """Draws a line of a pen that is pressed: thin at its ends, and dark."""
    ink, widest = _colour(random, 70), FINE * float(random.uniform(1, 9))
    for number, (one, other) in enumerate(pairwise(points)):
        width = max(FINE * 0.75, widest * np.sin(np.pi * (number + 0.5) / len(points)))
        pen.line([one, other], ink, round(width))
        radius = width / 2
        pen.ellipse((other[0] - radius, other[1] - radius, other[0] + radius, other[1] + radius), ink)


def _tone(size: tuple[int, int], ink: Colour, random: Random) -> Image.Image:
    """Draws dots of one colour on white, on a lattice that is turned."""
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    turn, period = random.uniform(0, np.pi / 2), FINE * random.uniform(5, 16)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    waves = np.cos(2 * np.pi * along / period) + np.cos(2 * np.pi * across / period)
    dots = (waves > random.uniform(-1, 1.2))[:, :, None]
    return Image.fromarray(np.where(dots, np.array(ink), 255).astype(np.uint8))


def _word(random: Random) -> str:
    letters = pick(LETTERS, random)
    return "".join(random.choice(list(letters), int(random.integers(1, 10))))


def _font(random: Random, size: int) -> ImageFont.FreeTypeFont:
    return _open(str(random.choice([str(font) for font in FONTS] or [""])) if random.random() < 0.8 else "", size)


@lru_cache(maxsize=64)
def _open(file: str, size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.truetype(file, size) if file else ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _paper(random: Random) -> Colour:
    if random.random() < 0.4:
        return _colour(random)
    shade = 255 if random.random() < 0.6 else int(random.integers(225, 255))
    return shade, shade, shade


def _ink(paper: object, random: Random) -> Colour:
    """Returns a colour that is far from the paper in brightness, mostly."""
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
