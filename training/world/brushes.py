"""Draws the things of the small world; where they go is left to others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from upscaler.arrays import PixelArray

from ..chance import Random, to_pixels

FINE = 2
"""Drawings are made this many times larger and then reduced, for smooth edges."""

Colour = tuple[float, float, float]
"""Red, green and blue, 0..255."""
Points = npt.NDArray[np.float64]
"""A closed outline: (points, 2), x to the right and y down."""
Floats = npt.NDArray[np.float32]

SAILS: Colour = (250, 250, 248)
BARK: Colour = (115, 75, 45)
STALK: Colour = (70, 150, 65)
ROOF: Colour = (205, 65, 50)
SLATE: Colour = (75, 70, 80)
GLASS: Colour = (165, 215, 240)
LAMP: Colour = (255, 225, 110)
LIPS: Colour = (190, 50, 60)
LINE: Colour = (34, 30, 38)
PAPER: Colour = (252, 249, 241)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a thing is and how large: its middle, and half of its extent, as shares of the picture's side."""

    x: float
    y: float
    radius: float

    def part(self, x: float, y: float, radius: float) -> Spot:
        """Returns a spot in this one, in its own measure: -1..1 from its left and top to its right and bottom."""
        return Spot(self.x + x * self.radius, self.y + y * self.radius, radius * self.radius)

    def place(self, outline: Points) -> Points:
        """Turns an outline in the spot's measure into one in that of the picture."""
        placed: Points = outline * self.radius + (self.x, self.y)
        return placed

    def box(self, left: float, top: float, right: float, bottom: float) -> Points:
        """Returns an upright rectangle in the spot's measure."""
        return self.place(np.array([(left, top), (right, top), (right, bottom), (left, bottom)]))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A square drawing in progress, of FINE times its final side; all outlines are in shares of the side."""

    canvas: PixelArray
    ground: PixelArray
    """The canvas as it was before the things that stand out from it."""
    light: Colour = (1, 1, 1)
    """What each colour is multiplied by: the time of day."""

    @classmethod
    def blank(cls, side: int) -> Sheet:
        canvas = np.zeros((side * FINE, side * FINE, 3), np.uint8)
        return cls(canvas, canvas.copy())

    def fill(self, colour: Colour, *outlines: Points) -> None:
        """Fills what lies within an odd number of outlines."""
        lit = tuple(level * share for level, share in zip(colour, self.light, strict=True))
        scaled = [np.rint((outline * len(self.canvas) - 0.5) * 16).astype(np.int32) for outline in outlines]
        cv2.fillPoly(self.canvas, scaled, lit, shift=4)

    def unlit(self) -> Sheet:
        """Returns the same sheet, for what shines by itself."""
        return replace(self, light=(1, 1, 1))

    def shade(self, top: float, bottom: float, first: Colour, last: Colour) -> None:
        """Fills all rows from `top` to `bottom`, from the first colour to the last."""
        start, end = round(top * len(self.canvas)), round(bottom * len(self.canvas))
        rows = np.linspace(np.multiply(first, self.light), np.multiply(last, self.light), end - start)
        self.canvas[start:end] = to_pixels(rows)[:, None]

    def settle(self) -> None:
        """Makes all that is drawn so far ground."""
        self.ground[:] = self.canvas

    def relief(self) -> Floats:
        """Returns one where things stand out from the ground, zero elsewhere: (side, side)."""
        changed = self.canvas[::FINE, ::FINE] != self.ground[::FINE, ::FINE]
        relief: Floats = changed.any(2).astype(np.float32)
        return relief

    def picture(self) -> PixelArray:
        """Returns what is drawn, of the final size: uint8 RGB, (side, side, 3)."""
        side = len(self.canvas) // FINE
        return cv2.resize(self.canvas, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Mixes two colours: `share` is that of the other."""
    red, green, blue = ((1 - share) * a + share * b for a, b in zip(one, other, strict=True))
    return red, green, blue


@lru_cache
def contrast(one: Colour, other: Colour) -> float:
    """Computes how different two colours look: their distance in CIE 1976 L*a*b*."""
    lab = cv2.cvtColor(np.array([[one, other]], np.float32) / 255, cv2.COLOR_RGB2LAB)
    return float(np.linalg.norm(lab[0, 0] - lab[0, 1]))


def around(count: int, *radii: float, start: float = -90) -> Points:
    """Returns points on a circle about zero, from the top clockwise, at these distances in turn."""
    angles = np.radians(start + np.arange(count) * 360 / count)
    points: Points = np.resize(radii, count)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    return points


def heart() -> Points:
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x = 16 * np.sin(angle) ** 3
    y = 13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)
    return np.stack([x / 16, -(y + 2.5) / 15], 1)


def cross() -> Points:
    arm = np.array([(-1, -3), (1, -3), (1, -1)]) / 3
    return np.concatenate([arm, arm[:, ::-1] * (-1, 1), -arm, arm[:, ::-1] * (1, -1)])


ROUND = around(48, 1)
SHAPES: dict[str, tuple[Points, ...]] = {
    "circle": (ROUND,),
    "square": (around(4, 1.2, start=-45),),
    "triangle": (np.array([(0, -1), (1.05, 0.85), (-1.05, 0.85)]),),
    "star": (around(10, 1.1, 0.48),),
    "heart": (heart(),),
    "ring": (ROUND, 0.58 * ROUND),
    "diamond": (np.array([(0, -1.1), (0.8, 0), (0, 1.1), (-0.8, 0)]),),
    "cross": (cross(),),
}


def shape(name: str, sheet: Sheet, spot: Spot, colour: Colour) -> None:
    sheet.fill(colour, *(spot.place(outline) for outline in SHAPES[name]))


def house(sheet: Sheet, spot: Spot, colour: Colour) -> None:
    """Draws walls of that colour under a red roof, or a dark one on walls that are like red."""
    roof = SLATE if contrast(colour, ROOF) < 60 else ROOF
    sheet.fill(roof, spot.box(0.35, -0.85, 0.58, -0.2))
    sheet.fill(colour, spot.box(-0.8, -0.15, 0.8, 1))
    sheet.fill(roof, spot.place(np.array([(0, -0.9), (1, -0.1), (-1, -0.1)])))
    sheet.fill(BARK, spot.box(-0.18, 0.35, 0.18, 1))
    lit = sheet.light[1] < 0.9
    for x in (-0.5, 0.5):
        sheet.fill(SAILS, spot.box(x - 0.19, 0.11, x + 0.19, 0.54))
        (sheet.unlit() if lit else sheet).fill(LAMP if lit else GLASS, spot.box(x - 0.14, 0.16, x + 0.14, 0.49))


def tree(sheet: Sheet, spot: Spot, colour: Colour) -> None:
    sheet.fill(BARK, spot.place(np.array([(-0.1, 0), (0.1, 0), (0.17, 1), (-0.17, 1)])))
    for x, y, radius in ((-0.4, -0.05, 0.45), (0.4, -0.05, 0.45), (0, -0.45, 0.53), (0, 0.02, 0.45)):
        sheet.fill(colour, spot.part(x, y, radius).place(ROUND))
    sheet.fill(mixed(colour, SAILS, 0.18), spot.part(-0.15, -0.52, 0.28).place(ROUND))


def boat(sheet: Sheet, spot: Spot, colour: Colour) -> None:
    """Draws a hull of that colour under white sails."""
    sheet.fill(BARK, spot.box(-0.05, -0.95, 0.05, 0.5))
    sheet.fill(SAILS, spot.place(np.array([(0.1, -0.9), (0.8, 0.28), (0.1, 0.28)])))
    sheet.fill(SAILS, spot.place(np.array([(-0.1, -0.7), (-0.1, 0.28), (-0.65, 0.28)])))
    sheet.fill(colour, spot.place(np.array([(-1, 0.4), (1, 0.4), (0.65, 0.95), (-0.65, 0.95)])))


def lighthouse(sheet: Sheet, spot: Spot, colour: Colour) -> None:
    """Draws a white tower with bands of that colour, its lamp lit when it is dark."""
    if sheet.light[1] < 0.9:
        for end in (-1.0, 1.0):
            beam = np.array([(0, -0.66), (end * 5, -1), (end * 5, -0.32)])
            sheet.unlit().fill(mixed(LAMP, PAPER, 0.3), spot.place(beam))
    for band in range(5):
        top, bottom = -0.5 + 0.3 * band, -0.2 + 0.3 * band
        left, right = 0.26 + 0.05 * band, 0.31 + 0.05 * band
        rows = np.array([(-left, top), (left, top), (right, bottom), (-right, bottom)])
        sheet.fill(SAILS if band % 2 else colour, spot.place(rows))
    sheet.unlit().fill(LAMP, spot.box(-0.18, -0.82, 0.18, -0.5))
    sheet.fill(SLATE, spot.box(-0.34, -0.55, 0.34, -0.47))
    sheet.fill(SLATE, spot.place(np.array([(0, -1.05), (0.28, -0.78), (-0.28, -0.78)])))


def sun(sheet: Sheet, spot: Spot, colour: Colour) -> None:
    sheet.unlit().fill(colour, spot.place(around(20, 1, 0.66)))


def moon(sheet: Sheet, spot: Spot, colour: Colour) -> None:
    """Draws a crescent."""
    bow = np.radians(np.linspace(-62, 62, 40))
    outer = around(360, 1, start=62)[:237]
    inner = np.stack([np.cos(bow[0]) * 2.1 - 1.1 * np.cos(bow), np.sin(bow)], 1)
    sheet.unlit().fill(colour, spot.place(np.concatenate([outer, inner])))


def cloud(sheet: Sheet, spot: Spot, colour: Colour) -> None:
    for x, y, radius in ((-0.6, 0.1, 0.34), (-0.15, -0.12, 0.48), (0.35, -0.02, 0.42), (0.7, 0.16, 0.28)):
        sheet.fill(colour, spot.part(x, y, radius).place(ROUND))
    sheet.fill(colour, spot.box(-0.6, 0.1, 0.7, 0.44))


def flower(sheet: Sheet, spot: Spot, colour: Colour) -> None:
    """Draws six petals of that colour about a yellow middle, or a brown one in petals that are like yellow; on a
    stalk."""
    sheet.fill(STALK, spot.box(-0.09, -0.4, 0.09, 1))
    for side in (-1, 1):
        leaf = np.array([(0, 0.75), (side * 0.25, 0.35), (side * 0.55, 0.3), (side * 0.35, 0.62)])
        sheet.fill(STALK, spot.place(leaf))
    for x, y in around(6, 0.36):
        sheet.fill(colour, spot.part(x, y - 0.38, 0.29).place(ROUND))
    sheet.fill(BARK if contrast(colour, LAMP) < 60 else LAMP, spot.part(0, -0.38, 0.22).place(ROUND))


def face(sheet: Sheet, spot: Spot, hair: Colour, skin: Colour, smile: float) -> None:
    """Draws a face from the front; its mouth bends up by `smile`, -1..1."""
    sheet.fill(hair, spot.part(0, -0.12, 0.9).place(ROUND))
    sheet.fill(hair, spot.box(-0.9, -0.12, 0.9, 0.5))
    sheet.fill(skin, spot.place(ROUND * (0.7, 0.85) + (0, 0.12)))
    sheet.fill(hair, spot.place(around(48, 1, start=180)[:25] * (0.74, 0.6) + (0, -0.25)))
    for x in (-0.28, 0.28):
        sheet.fill(LINE, spot.part(x, 0.08, 0.1).place(ROUND))
    across = np.linspace(-0.32, 0.32, 16)
    bend = 0.56 + smile * (0.12 - 0.22 * (across / 0.32) ** 2)
    lips = [np.stack([across, bend - 0.05], 1), np.stack([across, bend + 0.05], 1)[::-1]]
    sheet.fill(LIPS, spot.place(np.concatenate(lips)))


@dataclass(frozen=True, slots=True)
class Band:
    """A part of the land, from its ridge downwards."""

    colour: Colour
    top: float
    waves: float = 0.0
    """How high the ridge goes up and down about the top."""


def land(sheet: Sheet, band: Band, random: Random) -> None:
    across = np.linspace(0, 1, 65)
    ridge = band.top + band.waves * np.sin(across * 6 + random.uniform(0, 2 * np.pi))
    sheet.fill(band.colour, np.concatenate([np.stack([across, ridge], 1), [(1, 1), (0, 1)]]))


def crests(sheet: Sheet, band: Band, random: Random) -> None:
    """Draws the waves of a sea, longer the nearer they are."""
    for row in np.linspace(band.top + 0.06, 0.95, 5):
        for x in (np.array([0.1, 0.45, 0.8]) + random.uniform(-0.12, 0.12, 3)).tolist():
            crest = Spot(x, float(row), 0.15 * float(row)).place(around(4, 0.09, 1))
            sheet.fill(mixed(band.colour, SAILS, 0.35), crest)


def peaks(sheet: Sheet, band: Band, random: Random) -> None:
    """Draws three mountains with snow on their tops."""
    for x in (np.array([0.88, 0.12, 0.5]) + random.uniform(-0.06, 0.06, 3)).tolist():
        peak = Spot(x, band.top, band.waves * float(random.uniform(0.85, 1.15)))
        sheet.fill(band.colour, peak.place(np.array([(0, -1), (2.8, 3.2), (-2.8, 3.2)])))
        cap = np.array([(0, -1), (0.5, -0.25), (0.22, -0.4), (0, -0.2), (-0.25, -0.42), (-0.5, -0.25)])
        sheet.fill(SAILS, peak.place(cap))


def stars(sheet: Sheet, random: Random) -> None:
    for x in np.linspace(0.05, 0.95, 11).tolist():
        y, radius = random.uniform((0.04, 0.018), (0.4, 0.026)).tolist()
        sheet.unlit().fill(LAMP, Spot(x, y, radius).place(SHAPES["star"][0]))


def rain(sheet: Sheet, random: Random) -> None:
    drop = np.array([(0.2, -1), (0.36, -1), (-0.2, 1), (-0.36, 1)])
    for x, y in random.uniform(0, 1, (40, 2)).tolist():
        sheet.fill((206, 220, 236), Spot(x, y, 0.05).place(drop))


def snow(sheet: Sheet, random: Random) -> None:
    for x, y in random.uniform(0, 1, (55, 2)).tolist():
        sheet.fill((255, 255, 255), Spot(x, y, float(random.uniform(0.011, 0.018))).place(ROUND))


def fog(sheet: Sheet, random: Random) -> None:
    """Draws fog, thickest in the middle of the height, where it is far."""
    height = np.linspace(0, 1, len(sheet.canvas))[:, None, None]
    veil = np.float32(0.5 - 0.25 * np.abs(height - random.uniform(0.5, 0.6)))
    sheet.canvas[:] = to_pixels(sheet.canvas * (1 - veil) + 222 * veil)
