"""The page of a comparison: all of it in one file, and a slider that works, in a real browser."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.browser import Browser, browse, needs_browser
from upscaler import Picture
from upscaler.comparison import Cell, Comparison, make_page
from upscaler.comparison.compare import ColumnResult
from upscaler.tiling import Region, Size

COLOURS = {"source": (200, 30, 30), "plain & <b>bold</b>": (30, 160, 30), "third": (30, 30, 220)}


def comparison() -> Comparison:
    """Two parts of three columns, each of one colour; those of the second part are darker."""

    def cell(colour: tuple[int, int, int], index: int) -> Cell:
        pixels = np.empty((96 + 32 * index, 192, 3), np.uint8)
        pixels[:] = np.array(colour) // (index + 1)
        return Cell(Picture(pixels), 0.42, 1.25)

    columns = tuple(
        ColumnResult(label, tuple(cell(colour, index) for index in range(2)), None if label == "source" else 75.0)
        for label, colour in COLOURS.items()
    )
    parts = (Region(0, 0, 48, 24), Region(100, 50, 48, 32))
    return Comparison("</script><script>alert(1)</script>.jpg", Size(640, 480), 4, parts, columns)


def test_the_page_asks_no_host_for_anything_and_names_are_only_text() -> None:
    page = make_page(comparison())
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|https?:|url\(|@import""", page)
    assert "default-src 'none'" in page
    assert "<b>bold" not in page
    assert "alert(1)</script>" not in page
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert found is not None
    data = json.loads(found[1])
    assert data["columns"] == list(COLOURS)
    assert [part["label"] for part in data["parts"]] == ["48x24 at 0,0", "48x32 at 100,50"]
    assert data["parts"][0]["notes"][2] == ("0.42 s, whole picture about 75 s; departs from the source by 1.2 levels")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    folder = tmp_path_factory.mktemp("browser")
    (folder / "page.html").write_text(make_page(comparison()), encoding="utf-8")
    with browse(folder / "profile") as found:
        yield found  # type: ignore[misc]


@pytest.fixture
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    browser.open(next(tmp_path_factory.getbasetemp().glob("browser*/page.html")))
    return browser


def stage(page: Browser) -> NDArray[np.uint8]:
    """The pictures as they are seen, without the line and the names over them."""
    page.run("document.querySelectorAll('.tag, .edge').forEach((each) => each.style.visibility = 'hidden')")
    box = page.run(
        "const b = document.getElementById('stage').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height].map(Math.round)"
    )
    left, top, width, height = box
    return page.shot()[top : top + height, left : left + width]


def share_of(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    return float((np.abs(pixels.astype(int) - colour).max(2) < 3).mean())


@needs_browser
def test_the_slider_shows_more_of_the_left_picture_the_farther_right_it_is(page: Browser) -> None:
    source, other, _ = COLOURS.values()
    middle = stage(page)
    assert middle.shape == (96, 192, 3)
    assert share_of(middle, source) == pytest.approx(0.5, abs=0.02)
    assert share_of(middle, other) == pytest.approx(0.5, abs=0.02)
    page.press("#at", "end")
    assert share_of(stage(page), source) > 0.97
    page.press("#at", "home")
    assert share_of(stage(page), other) > 0.97
    page.press("#at", *["right"] * 60)
    part = stage(page)
    assert share_of(part[:, :56], source) > 0.95
    assert share_of(part[:, 60:], other) > 0.95
    assert page.run("return document.getElementById('at').getAttribute('aria-valuetext')") == (
        "30 % show the left picture"
    )


@needs_browser
def test_the_pictures_themselves_can_be_dragged(page: Browser) -> None:
    source, _, _ = COLOURS.values()
    box = page.run("const b = document.getElementById('stage').getBoundingClientRect(); return [b.left, b.top]")
    left, top = map(round, box)
    page.drag((left + 20, top + 40), (left + 144, top + 40))
    assert share_of(stage(page), source) == pytest.approx(0.75, abs=0.02)


@needs_browser
def test_columns_and_parts_are_chosen_from_the_keyboard(page: Browser) -> None:
    source, other, third = COLOURS.values()
    page.press("#left-choice", "third")
    found = stage(page)
    assert share_of(found, third) == pytest.approx(0.5, abs=0.02)
    assert share_of(found, other) == pytest.approx(0.5, abs=0.02)
    page.press("#right-choice", "source")
    page.press("#part-choice", "48x32")
    found = stage(page)
    assert found.shape == (128, 192, 3)
    assert share_of(found, tuple(np.array(third) // 2)) == pytest.approx(0.5, abs=0.02)
    assert share_of(found, tuple(np.array(source) // 2)) == pytest.approx(0.5, abs=0.02)
    page.press("#zoom-choice", "2 times")
    assert stage(page).shape == (256, 384, 3)
    assert page.run("return document.getElementById('left').alt") == "third, 48x32 at 100,50"


@needs_browser
def test_everything_that_can_be_used_has_a_name(page: Browser) -> None:
    unnamed = page.run(
        "return [...document.querySelectorAll('select, input, [tabindex]')].filter("
        "(each) => !each.labels?.length && !each.getAttribute('aria-label')).length"
    )
    assert unnamed == 0
    assert page.run("return [...document.images].every((each) => each.alt)")


@needs_browser
def test_the_page_is_dark_where_the_user_likes_it_dark(page: Browser) -> None:
    shots = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.emulate(cmd="Emulation.setEmulatedMedia", params={"features": features})
        shots.append(page.shot()[5, 5])
    assert shots[0].min() > 200
    assert shots[1].max() < 60
