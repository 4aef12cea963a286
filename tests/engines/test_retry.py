"""Never a wrong file: whatever goes wrong, at whichever tile, the picture is right or there is a clean error."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.networks import tiny_compact
from tests.pictures import sample
from upscaler.arrays import FloatArray
from upscaler.engines import Engine
from upscaler.engines.checkpoint import Checkpoint
from upscaler.engines.network import NetworkEngine
from upscaler.engines.resample import ResampleEngine
from upscaler.errors import DeviceLost, EngineError, OutOfMemory
from upscaler.surface import HOST, Surface
from upscaler.surface.device import device_surface

from . import faulty
from .faulty import Elsewhere, Faulty, SmallMemory, enlarged, grid_for, tiles_of


@pytest.fixture(params=["host", "device"], autouse=True)
def surface(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Surface:
    """Results lie on the host, or on a device, where each batch is judged when the next one has been computed."""
    chosen: Surface = HOST if request.param == "host" else device_surface("cpu")
    monkeypatch.setattr(faulty, "SURFACE", chosen)
    return chosen


FAULTS = ["exception", "nan", "one nan", "stale", "black", "shuffled"]
GOOD = ResampleEngine(2)


@pytest.fixture(scope="module")
def photo() -> FloatArray:
    return sample("astronaut.jpg")[20:116, 60:156]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_leaves_the_right_picture_at_every_tile(photo: FloatArray, fault: str, batch: int) -> None:
    grid = grid_for(photo, GOOD, 48, batch)
    right = enlarged(GOOD, photo, grid)
    assert grid.count >= 9
    for tile in tiles_of(photo, grid):
        engine = Faulty(GOOD, tile, fault, times=1, fallback=None)
        assert np.array_equal(enlarged(engine, photo, grid), right)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_fault_is_mended_by_a_safer_engine_at_every_tile(
    photo: FloatArray, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    grid = grid_for(photo, GOOD, 48)
    right = enlarged(GOOD, photo, grid)
    for tile in tiles_of(photo, grid):
        caplog.clear()
        engine = Faulty(GOOD, tile, fault, times=np.inf, fallback=Elsewhere(GOOD))
        assert np.array_equal(enlarged(engine, photo, grid), right)
        assert "computed again" in caplog.text, "it was silent"


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "shuffled"])
def test_a_fault_in_every_engine_is_an_error_that_names_the_place(photo: FloatArray, fault: str) -> None:
    grid = grid_for(photo, GOOD, 48)
    for tile in tiles_of(photo, grid):
        worse = Faulty(GOOD, tile, fault, times=np.inf, fallback=None)
        engine = Faulty(GOOD, tile, fault, times=np.inf, fallback=worse)
        with pytest.raises(EngineError, match=r"the tile at \d+,\d+ cannot be computed: .* Tried "):
            enlarged(engine, photo, grid)


def test_a_result_of_another_shape_is_computed_by_a_safer_engine(
    photo: FloatArray, caplog: pytest.LogCaptureFixture
) -> None:
    class Misshapen(ResampleEngine):
        def run(self, tiles: FloatArray) -> FloatArray:
            return super().run(tiles)[:, 1:]

        def fallback(self, elsewhere: bool = False) -> Engine | None:
            return Elsewhere(GOOD)

    grid = grid_for(photo, GOOD, 48, batch=2)
    assert np.array_equal(enlarged(Misshapen(2), photo, grid), enlarged(GOOD, photo, grid))
    height, width = grid.tile.scaled(2).height, grid.tile.scaled(2).width
    assert f"its result has the shape {(height - 1, width, 3)} instead of {(height, width, 3)}" in caplog.text


def test_a_network_that_means_it_is_believed_after_a_second_opinion(
    photo: FloatArray, caplog: pytest.LogCaptureFixture
) -> None:
    class Negative(ResampleEngine):
        def run(self, tiles: FloatArray) -> FloatArray:
            return 1 - super().run(tiles)

    grid = grid_for(photo, GOOD, 48)
    right = 1 - enlarged(GOOD, photo, grid)
    assert np.abs(enlarged(Negative(2), photo, grid) - right).max() < 1e-6
    assert "do not resemble their sources" in caplog.text


def test_an_engine_that_fails_often_is_replaced_for_good(
    photo: FloatArray, surface: Surface, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(ResampleEngine):
        calls = 0

        def run(self, tiles: FloatArray) -> FloatArray:
            self.calls += 1
            return np.full_like(super().run(tiles), np.nan)

        def fallback(self, elsewhere=False):
            return Elsewhere(GOOD)

    grid = grid_for(photo, GOOD, 48)
    engine = Broken(2)
    assert np.array_equal(enlarged(engine, photo, grid), enlarged(GOOD, photo, grid))
    assert "using fp32 on other from here on" in caplog.text
    ahead = 0 if surface is HOST else 1
    assert engine.calls == 6 + ahead, "three tiles, each twice; the others by the safer engine alone"


def test_out_of_memory_halves_the_batch(photo: FloatArray, caplog: pytest.LogCaptureFixture) -> None:
    grid = grid_for(photo, GOOD, 48, batch=8)
    engine = SmallMemory(GOOD, 2 * grid.tile.pixels)
    assert np.array_equal(enlarged(engine, photo, grid), enlarged(GOOD, photo, grid))
    assert "2 tiles at a time" in caplog.text


def test_out_of_memory_makes_tiles_smaller_with_the_same_pixels(
    tmp_path: Path, photo: FloatArray, caplog: pytest.LogCaptureFixture
) -> None:
    network = NetworkEngine.load(Checkpoint(tiny_compact(tmp_path)), name="tiny", device="cpu", precision="fp32")
    grid = grid_for(photo, network, 200)
    assert grid.count == 1
    engine = SmallMemory(network, 40 * 40)
    difference = np.abs(enlarged(engine, photo, grid) - enlarged(network, photo, grid)).max()
    assert difference < 1 / 255
    assert engine.largest <= 40 * 40
    assert "tiles of 28 pixels" in caplog.text


def test_out_of_memory_with_the_smallest_tile_goes_to_another_device(
    photo: FloatArray, caplog: pytest.LogCaptureFixture
) -> None:
    grid = grid_for(photo, GOOD, 48)
    engine = SmallMemory(GOOD, 100, fallback=Elsewhere(GOOD, "cpu two"))
    assert np.array_equal(enlarged(engine, photo, grid), enlarged(GOOD, photo, grid))
    assert "using cpu two instead" in caplog.text


class Budgeted(Elsewhere):
    """The same engine on the CPU, with memory for so many source pixels."""

    def __init__(self, pixels: int) -> None:
        super().__init__(GOOD, "cpu two")
        needs = replace(GOOD.info.needs, bytes_per_pixel=1000.0)
        self.info = replace(self.info, needs=needs, free_memory=pixels * 1000)
        self.largest = 0
        self.run = self._run

    def _run(self, tiles: FloatArray) -> FloatArray:
        self.largest = max(self.largest, tiles.shape[0] * tiles.shape[1] * tiles.shape[2])
        return GOOD.run(tiles)


@pytest.mark.parametrize("fault", ["memory", "nan"])
def test_the_cpu_is_given_tiles_of_its_own_budget(photo: FloatArray, fault: str) -> None:
    """The tile was planned for a device with more."""
    grid = grid_for(photo, GOOD, 200)
    fallback = Budgeted(3000)
    (tile,) = tiles_of(photo, grid)
    engine = SmallMemory(GOOD, 1, fallback) if fault == "memory" else Faulty(GOOD, tile, fault, np.inf, fallback)
    assert np.abs(enlarged(engine, photo, grid) - enlarged(GOOD, photo, grid)).max() < 1 / 255
    assert 100 < fallback.largest < 3000


def test_what_memory_allows_is_tried_again_in_the_next_picture_before_the_cpu(photo: FloatArray) -> None:
    """Others may have had it for a while."""
    grid = grid_for(photo, GOOD, 48)
    engine = SmallMemory(GOOD, 1, fallback=Elsewhere(GOOD, "cpu two"))
    right = enlarged(GOOD, photo, grid)
    assert np.array_equal(enlarged(engine, photo, grid), right)
    limit = engine.info.limit.pixels
    engine._pixels = 10**6
    assert np.abs(enlarged(engine, photo, grid) - right).max() < 1 / 255
    assert engine.largest <= limit < 48 * 48


def test_nothing_is_computed_while_an_exception_is_handled(photo: FloatArray) -> None:
    """Its traceback would keep what the failed try had in memory."""
    handled = []

    class Watched(SmallMemory):
        def run(self, tiles: FloatArray) -> FloatArray:
            handled.append(sys.exc_info()[0])
            return super().run(tiles)

        def fallback(self, elsewhere: bool = False) -> Engine | None:
            handled.append(sys.exc_info()[0])
            return Watched(GOOD, 10**6)

    grid = grid_for(photo, GOOD, 48, batch=4)
    enlarged(Watched(GOOD, 100), photo, grid)
    assert len(handled) > 5
    assert set(handled) == {None}


def test_a_lost_device_ends_the_picture_and_is_not_taken_for_a_bad_tile(photo: FloatArray) -> None:
    class Lost(ResampleEngine):
        def run(self, tiles: FloatArray) -> FloatArray:
            raise DeviceLost("gone")

        def fallback(self, elsewhere: bool = False) -> Engine | None:
            raise AssertionError

    with pytest.raises(DeviceLost):
        enlarged(Lost(2), photo, grid_for(photo, GOOD, 48))
    broken = Faulty(GOOD, next(tiles_of(photo, grid_for(photo, GOOD, 48))), "nan", np.inf, Lost(2))
    with pytest.raises(DeviceLost):
        enlarged(broken, photo, grid_for(photo, GOOD, 48))


def test_out_of_memory_everywhere_is_a_sentence(photo: FloatArray) -> None:
    with pytest.raises(OutOfMemory, match="out of memory on cpu, even with tiles of"):
        enlarged(SmallMemory(GOOD, 100), photo, grid_for(photo, GOOD, 48))


def test_a_flat_picture_is_not_suspected(caplog: pytest.LogCaptureFixture) -> None:
    flat = np.full((96, 96, 3), [0.9, 0.1, 0.4], np.float32)
    enlarged(GOOD, flat, grid_for(flat, GOOD, 48))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
