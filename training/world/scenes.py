"""A small world of pictures and their captions, for a generator to learn from.

What a caption says can be seen in its picture. What it leaves unsaid is as people expect it: one thing is in the
middle, a tree is green, it is day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from upscaler.arrays import PixelArray

from ..chance import Random, pick
from . import brushes, styles
from .brushes import Colour, Sheet, Spot
from .landscapes import landscape
from .things import COLOURS, LEFT, LIKE, MIDDLE, PLACED, RIGHT, THINGS, a, near, one, phrase, shade

SKINS: tuple[Colour, ...] = ((250, 214, 184), (226, 172, 130), (160, 106, 72))
SMILES = {"": 0.1, "smiling": 1.0, "sad": -1.0}

SAID = {
    "illustration": ("{}",) * 11 + ("{}, illustration",),
    "watercolour": ("{}, watercolour", "{}, watercolour", "{}, watercolour painting", "a watercolour of {}"),
    "oil": ("{}, oil on canvas", "{}, oil on canvas", "{}, oil painting", "an oil painting of {}"),
    "ink": ("{}, ink drawing", "{}, ink drawing", "an ink drawing of {}"),
    "photograph": ("{}, photograph", "{}, photograph", "a photograph of {}"),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture, uint8 RGB, (side, side, 3), and what it shows, in lower-case words of WORDS and commas."""

    picture: PixelArray
    caption: str


def scene(side: int, random: Random) -> Scene:
    """Draws another picture of that many pixels a side, with its caption."""
    sheet = Sheet.blank(side)
    compose = pick({plain: 0.54, portrait: 0.06, landscape: 0.4}, random)
    style = pick({"illustration": 0.64} | dict.fromkeys(styles.STYLES, 0.09), random)
    caption = one(SAID[style], random).format(compose(sheet, random))
    if random.random() < 0.08:
        caption = " ".join(word for word in caption.split() if word not in ("a", "an", "the"))
    return Scene(sheet.picture() if style == "illustration" else styles.styled(style, sheet, random), caption)


def spread(names: Sequence[str], sheet: Sheet, random: Random) -> str:
    """Draws a ground all over the sheet, and returns its colour, which is not like any of these, or at least not one of
    them."""
    used = {*names, *(like for name in names for like in LIKE.get(name, ()))}
    free = [name for name in COLOURS if used.isdisjoint((name, *LIKE.get(name, ())))]
    name = one(free or [name for name in COLOURS if name not in names], random)
    sheet.shade(0, 1, *[shade(name, random)] * 2)
    sheet.settle()
    return name


def before(words: str, ground: str, random: Random) -> str:
    """Returns the words, and mostly those for the ground."""
    tails = {f" on {a(ground)} ground": 0.78, f" against {ground}": 0.06, f" on {ground}": 0.08, "": 0.08}
    return words + pick(tails, random)


def plain(sheet: Sheet, random: Random) -> str:
    """Draws one or two things before a ground of one colour."""
    names = [one(tuple(THINGS), random) for _ in range(pick({1: 0.7, 2: 0.3}, random))]
    colours: list[str] = []
    for name in names:
        colours.append(one([colour for colour in THINGS[name].colours if colour not in colours], random))
    ground = spread([*colours, *(other for name in names for other in THINGS[name].others)], sheet, random)
    said = [phrase(name, colour, random) for name, colour in zip(names, colours, strict=True)]
    words, spots = alone(said[0], random) if len(said) == 1 else together(a(said[0]), a(said[1]), random)
    for name, colour, spot in zip(names, colours, spots, strict=True):
        THINGS[name].draw(sheet, near(spot, random), shade(colour, random))
    return before(words, ground, random)


def alone(said: str, random: Random) -> tuple[str, list[Spot]]:
    where = one(tuple(PLACED), random) if random.random() < 0.27 else ""
    sizes = {"": (0.22 if where else 0.28), "small": 0.14, "large": 0.39}
    size = pick(
        {"": 0.7, "small": 0.15, "large": 0.15} if PLACED[where] == PLACED[""] else {"": 0.8, "small": 0.2}, random
    )
    return a(f"{size} {said}".strip()) + where, [Spot(*PLACED[where], sizes[size])]


def together(first: str, second: str, random: Random) -> tuple[str, list[Spot]]:
    left, right = Spot(LEFT - 0.01, MIDDLE, 0.21), Spot(RIGHT + 0.01, MIDDLE, 0.21)
    high, low = Spot(MIDDLE, LEFT - 0.01, 0.2), Spot(MIDDLE, RIGHT + 0.01, 0.2)
    options = {
        (f"{first} and {second}", left, right): 0.45,
        (f"{first} beside {second}", left, right): 0.1,
        (f"{first} on the left and {second} on the right", left, right): 0.1,
        (f"{first} on the right and {second} on the left", right, left): 0.05,
        (f"{first} above {second}", high, low): 0.18,
        (f"{first} below {second}", low, high): 0.12,
    }
    words, *spots = pick(options, random)
    return words, spots


def portrait(sheet: Sheet, random: Random) -> str:
    """Draws a face from the front before a ground of one colour."""
    said = random.random() < 0.65
    hair = one(("brown", "black", "yellow", "red", "grey", "orange") if said else ("brown", "black"), random)
    mood = one(tuple(SMILES), random)
    ground = spread([hair, "skin"], sheet, random)
    spot = near(Spot(MIDDLE, MIDDLE, 0.38), random)
    brushes.face(sheet, spot, shade(hair, random), one(SKINS, random), SMILES[mood])
    return before(a(f"{mood} face".strip()) + (f" with {hair} hair" if said else ""), ground, random)
