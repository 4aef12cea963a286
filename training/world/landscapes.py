"""Landscapes: a place, what stands there, and what is above it, at a time of day and in a weather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..chance import Random, pick
from . import brushes
from .brushes import Band, Colour, Sheet, Spot, mixed
from .things import COLOURS, LEFT, MIDDLE, PLACED, RIGHT, THINGS, a, near, one, phrase, shade


@dataclass(frozen=True, slots=True)
class Place:
    """A landscape, by what is said and what is drawn of it, from far to near."""

    link: str
    """The word between a thing and the place."""
    coloured: str
    """What else it may be called, by day and without snow."""
    bands: tuple[Band, ...]
    things: tuple[str, ...]


SEA: Colour = (44, 122, 196)
SAND: Colour = (240, 214, 150)
GRASS: Colour = (112, 186, 78)
ISLE: Colour = (122, 150, 92)
SNOW: Colour = (236, 241, 248)
ROCK: Colour = (126, 136, 164)
HILLS = (Band((160, 210, 132), 0.52, 0.06), Band((134, 198, 102), 0.62, 0.06), Band(GRASS, 0.74, 0.05))
MEADOW = (Band((84, 158, 84), 0.53, 0.015), Band(GRASS, 0.58))
PLACES = {
    "the sea": Place("by", "the blue sea", (Band(SEA, 0.54),), ("boat", "lighthouse", "house")),
    "the beach": Place("on", "a beach", (Band(SEA, 0.5), Band(SAND, 0.66, 0.015)), ("house", "tree", "lighthouse")),
    "hills": Place("on", "green hills", HILLS, ("house", "tree", "lighthouse", "flower")),
    "a meadow": Place("in", "a green meadow", MEADOW, ("house", "tree", "flower")),
    "the mountains": Place(
        "in", "mountains", (Band(ROCK, 0.42, 0.14), Band(GRASS, 0.66, 0.03)), ("house", "tree", "flower")
    ),
}
HOMES = {"boat": "the sea", "lighthouse": "the sea", "house": "a meadow", "tree": "a meadow", "flower": "a meadow"}
"""Where things are if it is not said."""
COUNTS = {2: "two", 3: "three", 8: ""}
HEIGHTS = {"boat": 0.27, "lighthouse": 0.32, "house": 0.24, "tree": 0.28, "flower": 0.2}
"""Half of them, as shares of the side."""

SKIES: dict[str, tuple[Colour, Colour]] = {
    "day": ((92, 172, 242), (206, 234, 252)),
    "sunset": ((128, 84, 160), (255, 156, 66)),
    "night": ((14, 20, 64), (48, 62, 128)),
    "rain": ((112, 122, 138), (158, 166, 178)),
    "snow": ((168, 180, 196), (214, 222, 232)),
    "fog": ((204, 208, 212), (226, 228, 230)),
    "cloudy": ((142, 150, 160), (190, 196, 204)),
}
LIGHTS: dict[str, Colour] = {"day": (1, 1, 1), "sunset": (1, 0.82, 0.74), "night": (0.52, 0.56, 0.72)}
FALLS = {"rain": brushes.rain, "snow": brushes.snow, "fog": brushes.fog}
WEATHERS = {
    "day": {"": 0.52, "sunny": 0.1, "cloudy": 0.09, "rain": 0.1, "snow": 0.1, "fog": 0.09},
    "sunset": {"": 1.0},
    "night": {"": 0.8, "rain": 0.1, "snow": 0.1},
}
WHEN = {
    "sunset": " at sunset",
    "night": " at night",
    "sunny": " on a sunny day",
    "cloudy": " under a cloudy sky",
    "rain": " in the rain",
    "snow": " in the snow",
    "fog": " in the fog",
}


def landscape(sheet: Sheet, random: Random) -> str:
    """Draws none to two things somewhere, at a time of day, in a weather."""
    time = pick({"day": 0.64, "sunset": 0.18, "night": 0.18}, random)
    weather, where = pick(WEATHERS[time], random), one(tuple(PLACES), random)
    names = random.permutation(PLACES[where].things)[: pick({0: 0.15, 1: 0.6, 2: 0.25}, random)].tolist()
    side = one((" on the left", " on the right", "", ""), random) if len(names) == 1 else ""
    xs = (LEFT, RIGHT) if len(names) == 2 else (PLACED[side][0],)
    spots = [Spot(x, 0.8 if where == "the sea" else 0.88, 1.12 if x == MIDDLE else 0.94) for x in xs]
    lit = replace(sheet, light=LIGHTS[time])
    free = MIDDLE if len(names) == 2 else 0.17 if side == " on the right" else 0.83
    far = PLACES[where].bands[0]
    above = heavens(lit, time, weather, Spot(free, far.top - far.waves - 0.1, 0.11), random)
    terrain(lit, PLACES[where], weather == "snow", random)
    close = replace(sheet, light=mixed(lit.light, (1, 1, 1), 0.65))
    said = [stand(close, name, where, spot, random) for name, spot in zip(names, spots, strict=False)]
    if weather in FALLS:
        FALLS[weather](close, random)
    there = parse_location(names, where, time == "day" and weather != "snow", random)
    return " and ".join(said) + side + there + above + WHEN.get(weather, "") + WHEN.get(time, "")


def parse_location(names: Sequence[str], where: str, green: bool, random: Random) -> str:
    """Returns the words for a place, after those for the things there."""
    place = PLACES[where]
    called = place.coloured if green and random.random() < 0.4 else where
    if not names:
        return called
    if random.random() < 0.35 and all(HOMES[name] == where for name in names):
        return ""
    return f" {'on' if names == ['boat'] else place.link} {called}"


def heavens(sheet: Sheet, time: str, weather: str, low: Spot, random: Random) -> str:
    """Draws the sky with sun, moon, stars or clouds, and returns what is said about them; `low` is just above the
    land."""
    cover = weather if weather in SKIES else ""
    high = near(Spot(low.x, 0.18, 0.13), random)
    (sheet if cover else sheet.unlit()).shade(0, 0.75, *SKIES[cover or time])
    if weather == "cloudy" or (time == "day" and not weather and random.random() < 0.4):
        for across in (0.18, 0.5, 0.82):
            spot = near(Spot(across, float(random.uniform(0.1, 0.2)), 0.14), random)
            brushes.cloud(sheet, spot, (212, 215, 220) if weather else (255, 255, 255))
        return "" if weather else one((" with clouds", " under clouds"), random)
    if cover:
        return ""
    if time == "night":
        brushes.stars(sheet, random)
        if random.random() < 0.5:
            brushes.moon(sheet, high, (255, 238, 160))
            return one((" under the moon", " and the moon"), random)
        return one(("", "", " under the stars"), random)
    if time == "sunset":
        colour = one(("yellow", "orange", "red"), random)
        sheet.unlit().fill(COLOURS[colour], low.place(brushes.ROUND))
        return one(("", "", "", f" under {a(colour)} sun"), random)
    if weather == "sunny" or random.random() < 0.4:
        brushes.sun(sheet, high, shade("yellow", random))
        return "" if weather else one((" under the sun", " and the sun", " under a yellow sun"), random)
    return one(("", "", " under a blue sky"), random)


def terrain(sheet: Sheet, place: Place, snowy: bool, random: Random) -> None:
    for band in place.bands:
        white = snowy and band.colour not in (SEA, ROCK)
        drawn = replace(band, colour=mixed(SNOW, band.colour, 0.06)) if white else band
        (brushes.peaks if band.colour == ROCK else brushes.land)(sheet, drawn, random)
        if band.colour == SEA:
            brushes.crests(sheet, band, random)
    sheet.settle()


def stand(sheet: Sheet, name: str, where: str, foot: Spot, random: Random) -> str:
    """Draws one of the things of a place, or some flowers, and returns what is said about them."""
    if name == "flower" and foot.x == MIDDLE:
        return flowers(sheet, random)
    if where == "the sea" and name != "boat":
        sheet.fill(ISLE, Spot(foot.x, 0.93, 0.32).place(brushes.ROUND * (1, 0.52)))
    colour = one(THINGS[name].colours, random) if random.random() < 0.5 else THINGS[name].colours[0]
    radius = foot.radius * HEIGHTS[name]
    THINGS[name].draw(sheet, near(Spot(foot.x, foot.y - radius, radius), random), shade(colour, random))
    return a(phrase(name, colour, random))


def flowers(sheet: Sheet, random: Random) -> str:
    """Draws a counted few or a meadow full, of one colour, or of any where none is said."""
    count = one((1, 2, 3, 8), random)
    colour = one((*THINGS["flower"].colours, ""), random)
    for number in range(count):
        low = 0.93 - 0.14 * (number % 2) * (count == 8)
        radius = {1: 0.28, 2: 0.23, 3: 0.2, 8: 0.13}[count]
        spot = Spot((number + 0.5) / count, low - radius, radius)
        brushes.flower(sheet, near(spot, random), shade(colour or one(THINGS["flower"].colours, random), random))
    words = f"{colour} flower".strip()
    return a(words) if count == 1 else f"{COUNTS[count]} {words}s".strip()
