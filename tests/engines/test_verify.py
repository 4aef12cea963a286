"""What is taken for a wrong tile, and what is not."""

import itertools

import numpy as np
import pytest

from tests.pictures import ALL, sample
from upscaler.engines import verify
from upscaler.engines.resample import ResampleEngine
from upscaler.engines.verify import Fault
from upscaler.surface import HOST, Statistics, Surface
from upscaler.surface.device import device_surface

SIDE = 48


@pytest.fixture(params=["host", "device"], autouse=True)
def surface(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tiles and results are measured."""
    monkeypatch.setitem(PLACE, "surface", HOST if request.param == "host" else device_surface("cpu"))


PLACE: dict[str, Surface] = {}


def measured(
    source: np.ndarray, result: np.ndarray, previous: tuple[np.ndarray, np.ndarray] | None = None
) -> Statistics:
    place = PLACE["surface"]
    before = None if previous is None else (place.bring(previous[0]), place.bring(previous[1]))
    (found,) = place.measure(place.bring(source[None]), place.bring(result[None]), before)()
    return found


def fault(source: np.ndarray, result: np.ndarray, keeps_tone: bool) -> Fault | None:
    return verify.fault(measured(source, result), keeps_tone)


def is_stale(source: np.ndarray, result: np.ndarray, previous: tuple[np.ndarray, np.ndarray] | None) -> bool:
    return measured(source, result, previous).is_stale


def parts(name: str) -> list[np.ndarray]:
    picture = sample(name)
    rows, columns = range(0, picture.shape[0] - SIDE, SIDE), range(0, picture.shape[1] - SIDE, SIDE)
    return [np.ascontiguousarray(picture[y : y + SIDE, x : x + SIDE]) for y in rows for x in columns]


@pytest.mark.parametrize("name", ALL)
def test_a_right_result_is_never_suspected(name: str) -> None:
    engine = ResampleEngine(2)
    for part in parts(name):
        assert fault(part, engine.run(part[None])[0], keeps_tone=True) is None


@pytest.mark.parametrize("strength", [0.04, 0.1])
def test_a_result_without_the_noise_of_its_source_is_not_suspected(strength: float) -> None:
    random = np.random.default_rng(3)
    for part in parts("chelsea.png"):
        noisy = np.clip(part + random.normal(0, strength, part.shape), 0, 1).astype(np.float32)
        assert fault(noisy, part, keeps_tone=True) is None


@pytest.mark.parametrize("name", ["astronaut.jpg", "chelsea.png", "lineart.png"])
def test_the_result_of_another_tile_is_suspected_where_one_would_see_it(name: str) -> None:
    """Of any two tiles whose blocks differ by a third of the range somewhere, neither passes for the other's result."""
    for one, other in itertools.permutations(parts(name), 2):
        blocks = [tile.reshape(8, 6, 8, 6, 3).mean(axis=(1, 3)) for tile in (one, other)]
        if np.sqrt(np.mean((blocks[0] - blocks[1]) ** 2)) > 0.35:
            assert fault(one, other, keeps_tone=True) is not None


def test_black_white_nan_and_infinite_results_are_certainly_wrong() -> None:
    part = parts("astronaut.jpg")[6]
    for value in (0.0, 1.0, np.nan, np.inf, -np.inf):
        found = fault(part, np.full_like(part, value), keeps_tone=True)
        assert found is not None
        assert found.certain


def test_a_single_value_that_is_no_number_is_found_anywhere() -> None:
    part = parts("astronaut.jpg")[0]
    for y, x, channel in itertools.product((0, 23, 47), (0, 17, 47), range(3)):
        result = part.copy()
        result[y, x, channel] = np.nan
        found = fault(part, result, keeps_tone=True)
        assert found is not None
        assert found.certain


def test_a_network_that_relights_may_change_brightness_and_contrast_but_not_content() -> None:
    part = parts("astronaut.jpg")[2]
    darker = (part * 0.3).astype(np.float32)
    assert fault(part, darker, keeps_tone=True) is not None
    assert fault(part, darker, keeps_tone=False) is None
    assert fault(part, np.ascontiguousarray(darker[::-1]), keeps_tone=False) is not None


def test_a_stale_result_is_the_same_for_another_source() -> None:
    one, other = parts("chelsea.png")[:2]
    assert is_stale(other, one, (one, one))
    assert not is_stale(one, one, (one, one)), "the same source twice"
    assert not is_stale(other, other, (one, one))
    assert not is_stale(other, one, None)
    flat = np.zeros_like(one)
    assert not is_stale(other, flat, (one, flat)), "two empty places look alike"
