"""Makes the sample pictures that lie beside this file.

The photographs are reduced from files that the scikit-image wheel carries; the text, the drawing and the logo are
drawn here. SOURCES.md lists where each comes from and under which licence. Run it as `python samples/make.py`; it
needs scikit-image and Pillow with FreeType, and reaches for no network. The same versions of the two write the same
bytes; other versions may round or compress differently.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, TiffImagePlugin
from PIL.ExifTags import Base as Tag
from skimage import data

HERE = Path(__file__).resolve().parent
FINE = 4  # drawings are made this many times larger and then reduced, for smooth edges

Colour = tuple[int, int, int]
Point = tuple[float, float]

INK: Colour = (38, 34, 48)
SKY: Colour = (190, 224, 240)
SUN: Colour = (250, 200, 80)
SEA: Colour = (70, 140, 180)
FOAM: Colour = (225, 240, 245)
SAIL: Colour = (250, 244, 230)
JIB: Colour = (222, 96, 78)
HULL: Colour = (150, 92, 60)

TEXT = [  # size in pixels, words
    (19, "The Lamp at Harrow Point"),
    (
        12,
        "The keeper climbed the tower at dusk, as he had done on every evening for thirty-one years. He wound the "
        "clockwork, trimmed the wick and wiped the salt from the glass. By half past six the beam was turning over "
        "the bay, and the first boats were already making for the harbour.",
    ),
    (
        10.5,
        '"You could set a watch by him," said Mrs. Quill, who kept the post office. She did: the brass clock above '
        "her counter was corrected twice a week, on Mondays & Thursdays, and it never lost more than 4 seconds.",
    ),
    (
        9,
        "Table 2. Ships seen from the gallery: January 17, February 23, March 40, April 58. Figures before 1896 are "
        "estimates; see the notes on pages 203-211 (fog, 12%; snow, 3%).",
    ),
    (
        10.5,
        "At night the whole coast was reduced to eleven lights, and he knew the name, the colour and the temper of "
        "each one. Quietly he wrote them in the log; extra lights were crossed out by morning.",
    ),
    (8, "Set in five sizes of type and printed on laid paper. Copies from the harbour office, price 6d."),
]


def main() -> None:
    """Writes every sample picture into the folder of this file."""
    reduce_photo(data.astronaut).save(HERE / "astronaut.jpg", quality=90)
    save_turned(reduce_photo(data.coffee), HERE / "coffee.jpg")
    reduce_photo(data.chelsea).save(HERE / "chelsea.png", optimize=True)
    reduce_photo(data.camera).save(HERE / "camera.jpg", quality=90)
    draw_text().save(HERE / "text.png", optimize=True)
    draw_lineart().save(HERE / "lineart.png", optimize=True)
    draw_logo().save(HERE / "logo.png", optimize=True)


def reduce_photo(load: Callable[[], NDArray[np.uint8]]) -> Image.Image:
    """The photograph at half its width and height, each pixel the mean of the four it covers."""
    return Image.fromarray(load()).reduce(2)


def save_turned(picture: Image.Image, path: Path) -> None:
    """Saves a JPEG as a turned camera writes it: pixels a quarter to the left, EXIF telling viewers to turn right."""
    exif = Image.Exif()
    exif[Tag.Make] = "Sample"
    exif[Tag.Model] = "Sample One"
    exif[Tag.Orientation] = 6
    exif[Tag.XResolution] = exif[Tag.YResolution] = TiffImagePlugin.IFDRational(300)
    exif[Tag.ResolutionUnit] = 2  # inches
    exif[Tag.DateTime] = "2015:02:11 08:03:00"
    picture.transpose(Image.Transpose.ROTATE_90).save(path, quality=85, dpi=(300, 300), exif=exif)


def draw_text(width: int = 400, height: int = 300, margin: int = 18) -> Image.Image:
    """A page of small black print on white, one grey channel."""
    page = Image.new("L", (width * FINE, height * FINE), 255)
    pen = ImageDraw.Draw(page)
    top = margin * FINE
    for size, words in TEXT:
        font = ImageFont.load_default(size * FINE)
        for line in wrap(words, font, (width - 2 * margin) * FINE):
            pen.text((margin * FINE, top), line, fill=0, font=font)
            top += round(1.3 * size * FINE)
        top += round(0.55 * size * FINE)
    return page.reduce(FINE)


def wrap(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """The words in lines no wider than `width` pixels in this font; a longer word has a line of its own."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def draw_lineart(side: int = 256) -> Image.Image:
    """A drawing of a boat in flat colours with ink lines, circles and hatching."""
    sheet = Image.new("RGB", (side * FINE, side * FINE), SKY)
    draw_sky(sheet)
    draw_wave(sheet, 0, 172)
    draw_wave(sheet, 1, 186)
    draw_boat(sheet)
    draw_wave(sheet, 2, 201)
    draw_wave(sheet, 3, 230)
    return sheet.reduce(FINE)


def draw_sky(sheet: Image.Image) -> None:
    """Draws the sun with its rays, a cloud before it, and gulls."""
    pen = ImageDraw.Draw(sheet)
    for turn in range(24):
        x, y = math.cos(turn * math.pi / 12), math.sin(turn * math.pi / 12)
        end = 50 if turn % 2 else 43
        stroke(sheet, [(58 + 36 * x, 58 + 36 * y), (58 + end * x, 58 + end * y)], 1.2)
    pen.ellipse(enlarge([(28, 28), (88, 88)]), SUN, INK, 2 * FINE)
    pen.ellipse(enlarge([(36, 36), (80, 80)]), None, INK, FINE)
    puffs = [(70, 74, 13), (88, 66, 17), (108, 74, 14), (89, 80, 12)]
    for x, y, radius in puffs:
        pen.ellipse(enlarge([(x - radius, y - radius), (x + radius, y + radius)]), INK)
    for x, y, radius in puffs:
        pen.ellipse(enlarge([(x - radius + 2, y - radius + 2), (x + radius - 2, y + radius - 2)]), FOAM)
    for x, y, span in [(206, 38, 12), (226, 54, 8), (188, 60, 6)]:
        pen.arc(enlarge([(x - 2 * span, y - span), (x, y + span)]), 200, 345, INK, round(1.5 * FINE))
        pen.arc(enlarge([(x, y - span), (x + 2 * span, y + span)]), 195, 340, INK, round(1.5 * FINE))


def draw_wave(sheet: Image.Image, row: int, level: float) -> None:
    """Draws water from this level down, with a wave along its top, higher and thicker the nearer its row is."""
    top = [(float(x), level + (1 + row) * math.sin(x / (7 + 2 * row) + 2 * row)) for x in range(-4, 261)]
    ImageDraw.Draw(sheet).polygon(enlarge([*top, (260, 260), (-4, 260)]), SEA)
    if row:
        stroke(sheet, [(x, y + 3) for x, y in top], 1 + row / 2, FOAM)
    stroke(sheet, top, 0.8 + 0.4 * row)


def draw_boat(sheet: Image.Image) -> None:
    """Draws the boat: hull, mast, two sails and a flag, with hatching on the sides away from the sun."""
    pen = ImageDraw.Draw(sheet)
    hull = [(74.0, 172.0), (214.0, 166.0), (196.0, 204.0), (100.0, 206.0)]
    main_sail = bend([(146, 44), (196, 100), (206, 156), (146, 158)])
    jib = bend([(138, 56), (118, 112), (86, 158), (138, 160)])
    pen.polygon(enlarge([(142, 22), (168, 29), (142, 36)]), JIB, INK, round(1.5 * FINE))
    stroke(sheet, [(142, 20), (142, 170)], 3.5)
    for shape, colour, gap in [(main_sail, SAIL, 5.0), (jib, JIB, 4.0), (hull, HULL, 3.5)]:
        pen.polygon(enlarge(shape), colour)
        hatch(sheet, shape, gap)
        stroke(sheet, [*shape, shape[0]], 2.2)
    for x in (110, 130, 150, 170):
        pen.ellipse(enlarge([(x - 5, 179), (x + 5, 189)]), SUN, INK, round(1.5 * FINE))


def hatch(sheet: Image.Image, shape: list[Point], gap: float) -> None:
    """Draws slanted fine lines, `gap` pixels apart, over the right half of the shape."""
    inside = Image.new("L", sheet.size)
    ImageDraw.Draw(inside).polygon(enlarge(shape), 255)
    left = (min(x for x, _ in shape) + max(x for x, _ in shape)) / 2
    lines = Image.new("L", sheet.size)
    pen = ImageDraw.Draw(lines)
    for start in (left + gap * count for count in range(64)):
        pen.line(enlarge([(start, 0), (start - 110, 256)]), 255, round(0.8 * FINE))
    pen.rectangle(enlarge([(0, 0), (left, 256)]), 0)
    sheet.paste(INK, mask=ImageChops.darker(lines, inside))


def bend(corners: list[Point]) -> list[Point]:
    """A sail: a smooth curve from the first corner by way of the second to the third, then straight on."""
    first, second, third, *rest = corners
    curve = []
    for part in range(25):
        t = part / 24
        x, y = ((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c for a, b, c in zip(first, second, third, strict=True))
        curve.append((x, y))
    return [*curve, *rest]


def stroke(sheet: Image.Image, points: list[Point], width: float, colour: Colour = INK) -> None:
    """Draws a line through the points, `width` pixels of the reduced picture wide, with round ends."""
    pen = ImageDraw.Draw(sheet)
    path = enlarge(points)
    pen.line(path, colour, round(width * FINE), joint="curve")
    for x, y in (path[0], path[-1]):
        pen.circle((x, y), width * FINE / 2, colour)


def enlarge(points: list[Point]) -> list[Point]:
    """The points in the coordinates of the large sheet."""
    return [(x * FINE, y * FINE) for x, y in points]


def draw_logo(side: int = 160) -> Image.Image:
    """A logo on nothing: a soft plate with a round hole and an arrow, over a half transparent shadow.

    Fully transparent pixels are (0, 0, 0, 0), as many programs write them.
    """
    plate = Image.new("L", (side * FINE, side * FINE))
    pen = ImageDraw.Draw(plate)
    pen.rounded_rectangle(enlarge([(16, 12), (136, 132)]), 34 * FINE, 255)
    pen.ellipse(enlarge([(36, 48), (100, 112)]), 0)
    arrow = Image.new("L", plate.size)
    ImageDraw.Draw(arrow).polygon(
        enlarge([(122, 26), (122, 66), (109, 53), (84, 78), (70, 64), (95, 39), (82, 26)]), 255
    )
    both = ImageChops.lighter(plate, arrow)
    shadow = ImageChops.offset(both, 6 * FINE, 9 * FINE).filter(ImageFilter.GaussianBlur(4 * FINE))
    layers = [
        ((20, 24, 60), shadow.point([level * 9 // 20 for level in range(256)])),
        ((36, 112, 200), plate.filter(ImageFilter.GaussianBlur(FINE))),
        ((255, 176, 32), arrow.filter(ImageFilter.GaussianBlur(FINE / 2))),
    ]
    logo = Image.new("RGBA", (side, side))
    for colour, mask in layers:
        layer = Image.new("RGBA", logo.size, colour)
        layer.putalpha(mask.reduce(FINE))
        logo = Image.alpha_composite(logo, layer)
    seen = logo.getchannel("A").point([0] + [255] * 255)
    return Image.composite(logo, Image.new("RGBA", logo.size), seen)


if __name__ == "__main__":
    main()
