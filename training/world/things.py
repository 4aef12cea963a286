"""What captions can name: how things look, where they are put, and how that is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..chance import Choice, Random
from . import brushes
from .brushes import Colour, Sheet, Spot

COLOURS: dict[str, Colour] = {
    "red": (222, 32, 38),
    "orange": (248, 138, 16),
    "yellow": (252, 218, 44),
    "green": (44, 162, 68),
    "blue": (36, 96, 214),
    "purple": (132, 56, 172),
    "pink": (248, 144, 190),
    "brown": (122, 74, 40),
    "black": (24, 24, 28),
    "white": (250, 250, 248),
    "grey": (140, 143, 148),
}
LIKE = {
    "red": ("orange", "pink", "brown"),
    "purple": ("blue", "pink"),
    "brown": ("orange", "black", "grey"),
    "yellow": ("orange",),
    "skin": ("orange", "pink", "brown", "grey", "white"),
    "grey": ("pink",),
}
"""Colours that are hardly seen before each other."""


@dataclass(frozen=True, slots=True)
class Thing:
    """What a caption can name, by how it is drawn and by its colours."""

    draw: Callable[[Sheet, Spot, Colour], None]
    colours: tuple[str, ...]
    """Those that it may be said to have; the first is meant if none is said."""
    others: tuple[str, ...] = ()
    """Further colours that it has."""


THINGS = {name: Thing(partial(brushes.shape, name), tuple(COLOURS)) for name in brushes.SHAPES} | {
    "house": Thing(brushes.house, ("white", "red", "blue", "yellow", "green", "pink", "orange", "purple"), ("red",)),
    "tree": Thing(brushes.tree, ("green", "orange", "red", "yellow", "pink"), ("brown",)),
    "boat": Thing(brushes.boat, ("red", "white", "blue", "green", "yellow", "orange", "black", "brown"), ("white",)),
    "lighthouse": Thing(brushes.lighthouse, ("red", "white", "blue", "green", "black"), ("white",)),
    "sun": Thing(brushes.sun, ("yellow", "orange", "red")),
    "moon": Thing(brushes.moon, ("yellow", "white")),
    "flower": Thing(brushes.flower, ("red", "yellow", "pink", "purple", "white", "orange", "blue"), ("green",)),
}

LEFT, MIDDLE, RIGHT = 0.27, 0.5, 0.73
PLACED: dict[str, tuple[float, float]] = {
    "": (MIDDLE, MIDDLE),
    " in the middle": (MIDDLE, MIDDLE),
    " on the left": (LEFT, MIDDLE),
    " on the right": (RIGHT, MIDDLE),
    " at the top": (MIDDLE, LEFT),
    " at the bottom": (MIDDLE, RIGHT),
    " in the top left corner": (LEFT, LEFT),
    " in the top right corner": (RIGHT, LEFT),
    " in the bottom left corner": (LEFT, RIGHT),
    " in the bottom right corner": (RIGHT, RIGHT),
}


def one(options: Sequence[Choice], random: Random) -> Choice:
    return options[int(random.integers(len(options)))]


def shade(name: str, random: Random) -> Colour:
    """Returns one of the colours of that name."""
    jitter = random.uniform(-6, 6) + random.uniform(-3, 3, 3)
    red, green, blue = np.clip(COLOURS[name] + jitter, 0, 255).tolist()
    return red, green, blue


def near(spot: Spot, random: Random) -> Spot:
    """Moves a spot a little and makes it a little larger or smaller."""
    x, y = random.uniform(-0.025, 0.025, 2).tolist()
    return Spot(spot.x + x, spot.y + y, spot.radius * float(random.uniform(0.92, 1.08)))


def a(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def phrase(name: str, colour: str, random: Random) -> str:
    """Returns the thing with its colour, which often goes without saying where it is the usual one."""
    usual = name not in brushes.SHAPES and colour == THINGS[name].colours[0]
    return name if usual and random.random() < 0.6 else f"{colour} {name}"
