"""The embedded generator draws what it is asked for, judged by plain geometry and by the drawings it learned from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from training.world import WORDS
from training.world.brushes import Sheet, Spot
from training.world.things import COLOURS, LIKE, THINGS, a
from upscaler import TextToImage, catalog
from upscaler.arrays import PixelArray

Mask = npt.NDArray[np.bool_]

SIDE = 32
"""Of outlines, when they are compared."""


@pytest.fixture(scope="module")
def scenes() -> Iterator[TextToImage]:
    with TextToImage("scenes", device="cpu") as generator:
        yield generator


def named(pixels: PixelArray) -> npt.NDArray[np.str_]:
    """The name of the colour that is nearest to each pixel of (count, 3)."""
    names = list(COLOURS)
    lab = cv2.cvtColor(pixels[None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
    known = cv2.cvtColor(np.float32([[COLOURS[name] for name in names]]) / 255, cv2.COLOR_RGB2Lab)[0]
    return np.array(names)[np.linalg.norm(lab[:, None] - known, axis=2).argmin(1)]


def ground(picture: PixelArray) -> PixelArray:
    """The pixels along the rim, but for that of paper: (count, 3)."""
    rim = picture[16:-16, 16:-16]
    return np.concatenate([rim[0], rim[-1], rim[:, 0], rim[:, -1]])


def thing(picture: PixelArray) -> Mask:
    """Where there is something that does not look like the ground, but for specks."""
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    rim = cv2.cvtColor(ground(picture)[None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
    far = np.linalg.norm(lab - np.median(rim, 0), axis=2) > 25
    count, labels, stats, _ = cv2.connectedComponentsWithStats(far.astype(np.uint8))
    large = [number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] > 30]
    found: Mask = np.isin(labels, large)
    return found


def outlines(picture: PixelArray, colour: str) -> tuple[Mask, Mask]:
    """Where the thing is within its own frame, and where it has that colour: both (SIDE, SIDE)."""
    mask = thing(picture)
    if not mask.any():
        return (np.zeros((SIDE, SIDE), bool),) * 2
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    frame = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    own = mask[frame]
    coloured = (named(picture[frame].reshape(-1, 3)) == colour).reshape(own.shape) & own
    whole, part = (
        cv2.resize(each.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA) for each in (own, coloured)
    )
    return whole > 0.5, part > 0.5


def drawn(name: str, colour: str, behind: str) -> PixelArray:
    """The thing as the world's program draws it."""
    sheet = Sheet.blank(256)
    sheet.shade(0, 1, COLOURS[behind], COLOURS[behind])
    sheet.settle()
    THINGS[name].draw(sheet, Spot(0.5, 0.5, 0.28), COLOURS[colour])
    return sheet.picture()


def seen(picture: PixelArray, colour: str, behind: str) -> str:
    """The thing whose drawing it is most like."""
    mine = outlines(picture, colour)

    def likeness(name: str) -> float:
        its = outlines(drawn(name, colour, behind), colour)
        return sum((one & other).sum() / max((one | other).sum(), 1) for one, other in zip(mine, its, strict=True))

    return max(THINGS, key=likeness)


def test_red_circle_on_a_blue_ground_is_one(scenes: TextToImage) -> None:
    for seed in range(3):
        picture = scenes("a red circle on a blue ground", seed=seed).pixels
        assert picture.shape == (256, 256, 3)
        mask = thing(picture)
        assert (named(ground(picture)) == "blue").mean() > 0.95
        assert (named(picture[mask]) == "red").mean() > 0.8
        rows, columns = np.nonzero(mask)
        width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
        assert 0.85 < width / height < 1.18
        assert abs(mask.sum() / (width * height) - np.pi / 4) < 0.05
        assert 0.02 < mask.mean() < 0.5


def orders(count: int) -> Iterator[tuple[str, str, str]]:
    """Things, their colours, and those of grounds on which they can be seen."""
    random = np.random.default_rng(7)
    for _ in range(count):
        name = str(random.choice(list(THINGS)))
        colour = str(random.choice(THINGS[name].colours))
        unfit = {colour, *LIKE.get(colour, ()), *THINGS[name].others}
        grounds = [each for each in COLOURS if each not in unfit and colour not in LIKE.get(each, ())]
        yield name, colour, str(random.choice(grounds))


def test_right_thing_and_colour_appear_nearly_always(scenes: TextToImage) -> None:
    failures = []
    for seed, (name, colour, behind) in enumerate(orders(50)):
        prompt = f"{a(f'{colour} {name}')} on {a(behind)} ground"
        picture = scenes(prompt, seed=seed).pixels
        found = seen(picture, colour, behind)
        share = float((named(picture[thing(picture)]) == colour).mean()) if thing(picture).any() else 0.0
        around = float((named(ground(picture)) == behind).mean())
        if found != name or share < 0.15 or around < 0.5:
            failures.append(f"{prompt} ({seed}): {found}, {share:.2f} {colour}, {around:.2f} {behind}")
    assert len(failures) <= 5, failures


def test_words_that_it_does_not_know_are_noted_once_with_those_it_does(
    scenes: TextToImage, caplog: pytest.LogCaptureFixture
) -> None:
    picture = scenes("a red Zeppelin, circle", seed=1, steps=2).pixels
    assert "does not know zeppelin and ignores it. It knows shapes (circle square" in caplog.text
    caplog.clear()
    scenes("a small zeppelin and a Zeppelin-like circle on grey", seed=1, steps=2)
    assert "does not know like and ignores" in caplog.text
    caplog.clear()
    assert picture.shape == scenes("A crimson disc, by the ocean at dusk: watercolor!", seed=1, steps=2).pixels.shape
    assert not caplog.text


def test_card_and_catalog_name_only_words_that_it_knows() -> None:
    model = catalog.find("scenes")
    words = {*WORDS, *(synonym for synonyms in WORDS.values() for synonym in synonyms)}
    said = set("".join(each if each.isalpha() else " " for each in model.knows).split())
    assert said <= words | {"shapes", "these", "them", "or"}, said - words


def test_it_takes_at_most_twelve_megabytes() -> None:
    folder = catalog.find("scenes").file
    assert folder is not None
    assert sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) <= 12_000_000
