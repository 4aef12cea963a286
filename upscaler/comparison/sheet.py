"""Draws a comparison as one picture: a row for each part, a column for each model, at one pixel for one."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..picture import Picture
from .compare import Comparison

GROUND, INK, FAINT = (250, 250, 248), (28, 28, 30), (110, 110, 116)
"""Colours of the sheet, of names, and of what is said below pictures."""

MARGIN, GAP = 24, 16
"""Pixels around everything, and between columns."""

NARROWEST = 200
"""Pixels of a column at least, so that its text has room."""

HEADING, NAME, TEXT = 24, 19, 15
"""Sizes of letters in pixels."""


@dataclass(frozen=True, slots=True)
class _Text:
    """Lines of one size and colour."""

    lines: tuple[str, ...]
    size: int
    colour: tuple[int, int, int]

    @property
    def height(self) -> int:
        return len(self.lines) * _line_height(self.size)

    def draw(self, draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
        for line in self.lines:
            draw.text((x, y), line, fill=self.colour, font=_font(self.size))
            y += _line_height(self.size)


def make_sheet(comparison: Comparison) -> Picture:
    """Returns the sheet: 8 bits, sRGB. Names that are too long for their column go on in the next line."""
    widths = [max([NARROWEST, *(cell.picture.size.width for cell in column.cells)]) for column in comparison.columns]
    lefts = [MARGIN + sum(widths[:index]) + GAP * index for index in range(len(widths))]
    width = lefts[-1] + widths[-1] + MARGIN
    title = f"{comparison.name}, {comparison.size}, enlarged {comparison.scale:g} times"
    heading = _text(title, HEADING, INK, width - 2 * MARGIN)
    names = [_text(column.label, NAME, INK, room) for column, room in zip(comparison.columns, widths, strict=True)]
    top = MARGIN + heading.height + GAP
    y = top + max(name.height for name in names) + GAP // 2
    rows = []
    for index, part in enumerate(comparison.parts):
        notes = [
            _text("\n".join(column.describe(index)), TEXT, FAINT, room)
            for column, room in zip(comparison.columns, widths, strict=True)
        ]
        caption = _text(f"{part.size} at {part.x},{part.y}", TEXT, FAINT, width - 2 * MARGIN)
        height = max(column.cells[index].picture.size.height for column in comparison.columns)
        rows.append((y, caption, notes, height))
        y += caption.height + GAP // 2 + height + GAP // 2 + max(note.height for note in notes) + GAP
    image = Image.new("RGB", (width, y - GAP + MARGIN), GROUND)
    draw = ImageDraw.Draw(image)
    heading.draw(draw, MARGIN, MARGIN)
    for name, left in zip(names, lefts, strict=True):
        name.draw(draw, left, top)
    for index, (y, caption, notes, height) in enumerate(rows):
        caption.draw(draw, MARGIN, y)
        below = y + caption.height + GAP // 2
        for column, note, left in zip(comparison.columns, notes, lefts, strict=True):
            image.paste(lay_on_white(column.cells[index].picture), (left, below))
            note.draw(draw, left, below + height + GAP // 2)
    return Picture(np.asarray(image), name="comparison")


def lay_on_white(picture: Picture) -> Image.Image:
    """Returns a picture as an RGB image of 8 bits, its transparency on white."""
    image = picture.to_pil()
    if not picture.has_alpha:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _text(text: str, size: int, colour: tuple[int, int, int], room: int) -> _Text:
    """Returns text in lines that are no wider than `room`, broken between words or, in longer ones, between letters."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _spell(paragraph).split():
            wider = f"{line} {word}".lstrip()
            if _width(wider, size) <= room:
                line = wider
                continue
            if line:
                lines.append(line)
            line = ""
            for letter in word:
                if line and _width(line + letter, size) > room:
                    lines.append(line)
                    line = ""
                line += letter
        if line:
            lines.append(line)
    return _Text(tuple(lines), size, colour)


def _spell(text: str) -> str:
    """Returns a text in the letters that Pillow's own font has; others lose their accents, or become question marks."""
    letters = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in plain)


def _width(text: str, size: int) -> float:
    return float(_font(size).getlength(text))


def _line_height(size: int) -> int:
    return round(size * 1.4)


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
