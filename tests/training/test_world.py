"""What a caption says can be seen in its picture."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from training.world import WORDS, brushes, scene, scenes, styles
from training.world.brushes import Sheet
from training.world.landscapes import landscape
from training.world.scenes import plain
from training.world.things import COLOURS
from upscaler.arrays import PixelArray


def spoken(count: int) -> list[str]:
    random = np.random.default_rng(0)
    return [scene(32, random).caption for _ in range(count)]


def colour_of(pixels: PixelArray) -> str:
    """The named colour that is nearest to the median of these pixels."""
    seen = tuple(np.median(pixels.reshape(-1, 3), 0).tolist())
    return min(COLOURS, key=lambda name: brushes.contrast(COLOURS[name], seen))


def test_scene_is_made_again_by_its_seed() -> None:
    for seed in range(6):
        first, second = (scene(64, np.random.default_rng(seed)) for _ in range(2))
        assert first.caption == second.caption
        assert np.array_equal(first.picture, second.picture)
    assert scene(64, np.random.default_rng(0)).caption != scene(64, np.random.default_rng(1)).caption


@pytest.mark.parametrize("side", [64, 256, 512])
def test_scene_has_the_size_asked_for(side: int) -> None:
    random = np.random.default_rng(side)
    pictures = [scene(side, random).picture for _ in range(8)]
    assert {(picture.shape, picture.dtype.name) for picture in pictures} == {((side, side, 3), "uint8")}


def test_captions_and_words_are_the_same() -> None:
    counts = Counter(word for caption in spoken(1500) for word in re.findall(r"[^ ,]+", caption))
    assert counts.keys() == WORDS.keys()


def test_captions_have_the_article_that_fits() -> None:
    wrong = re.compile(r"\ba [aeiou]|\ban [^aeiou]|  | $|^ ")
    assert [caption for caption in spoken(1000) if wrong.search(caption)] == []


def test_synonym_stands_for_one_word() -> None:
    known = [*WORDS, *(synonym for synonyms in WORDS.values() for synonym in synonyms)]
    assert [word for word, count in Counter(known).items() if count > 1] == []


def test_shape_and_ground_have_their_colours() -> None:
    random, checked = np.random.default_rng(2), 0
    shapes = "|".join(brushes.SHAPES.keys() - {"ring"})
    for _ in range(1200):
        drawn = scene(96, random)
        said = re.fullmatch(rf"an? (?:small |large )?(\w+) (?:{shapes}) on an? (\w+) ground", drawn.caption)
        if said:
            assert colour_of(drawn.picture[44:52, 44:52]) == said[1], drawn.caption
            assert colour_of(drawn.picture[:3]) == said[2], drawn.caption
            checked += 1
    assert checked > 30


def test_first_of_two_shapes_is_left_or_above() -> None:
    random, checked = np.random.default_rng(3), 0
    shapes = "|".join(brushes.SHAPES.keys() - {"ring"})
    for _ in range(2000):
        sheet = Sheet.blank(96)
        said = re.match(rf"an? (\w+) (?:{shapes}) (and|above) an? (\w+) (?:{shapes}) ", plain(sheet, random) + " ")
        if said:
            picture = sheet.picture() if said[2] == "and" else sheet.picture().swapaxes(0, 1)
            assert colour_of(picture[44:52, 22:28]) == said[1]
            assert colour_of(picture[44:52, 68:74]) == said[3]
            checked += 1
    assert checked > 40


def test_things_are_large_enough_to_be_seen() -> None:
    random = np.random.default_rng(4)
    for _ in range(200):
        sheet = Sheet.blank(100)
        caption = plain(sheet, random)
        assert np.ptp(np.nonzero(sheet.relief().any(1))[0]) >= 20, caption


def test_sky_is_darker_at_night_than_by_day() -> None:
    random = np.random.default_rng(5)
    brightness: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(150):
        sheet = Sheet.blank(32)
        night = "at night" in landscape(sheet, random)
        brightness[night].append(float(np.median(sheet.picture()[:8])))
    assert max(brightness[True]) < min(brightness[False])


def test_styles_differ_from_flat_and_from_each_other() -> None:
    sheet = Sheet.blank(128)
    landscape(sheet, np.random.default_rng(6))
    pictures = {style: styles.styled(style, sheet, np.random.default_rng(0)) for style in styles.STYLES}
    pictures["illustration"] = sheet.picture()
    assert pictures.keys() == scenes.SAID.keys()
    for style, picture in pictures.items():
        for other in pictures.keys() - {style}:
            assert np.abs(picture.astype(float) - pictures[other]).mean() > 5, (style, other)


@pytest.mark.parametrize("style", styles.STYLES)
def test_shape_keeps_its_colour_in_a_style(style: str) -> None:
    for name in ("red", "green", "blue", "yellow"):
        sheet = Sheet.blank(128)
        sheet.shade(0, 1, COLOURS["white"], COLOURS["white"])
        sheet.settle()
        brushes.shape("circle", sheet, brushes.Spot(0.5, 0.5, 0.3), COLOURS[name])
        picture = styles.styled(style, sheet, np.random.default_rng(0))
        assert colour_of(picture[44:84, 44:84]) == name
