"""Small pictures of one run share batches, and come out as they would alone."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.networks import tiny_compact
from upscaler import EngineError, Picture, Target, Upscaler, codecs
from upscaler.arrays import FloatArray
from upscaler.codecs import EncodeOptions
from upscaler.engines import Ahead
from upscaler.engines.network import NetworkEngine
from upscaler.inputs.discover import Job, find_jobs
from upscaler.jobs.batch import run

COUNT = 24


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Colour, grey, alpha, all one size, and some of another."""
    random = np.random.default_rng(0)
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(COUNT):
        channels = {1: (), 2: (4,)}.get(index % 4, (3,))
        size = (17, 33) if index % 5 == 0 else (20, 30)
        smooth = np.cumsum(random.integers(0, 6, (*size, *channels)), axis=1, dtype=np.uint8)
        Image.fromarray(smooth).save(folder / f"{index:02}.png")
    return folder


def made(upscaler: Upscaler, sources: Path, output: Path) -> dict[str, Picture]:
    """All of a folder, of which nothing is computed before all has been read."""
    everything_read = threading.Event()

    def jobs() -> Iterator[Job]:
        yield from find_jobs([str(sources)], f"{output}/", EncodeOptions(), "").jobs
        everything_read.set()

    def wait(*_: object) -> None:
        everything_read.wait(20)

    outcomes = run(upscaler, jobs(), Target(scale=2), progress=wait)
    return {outcome.source.name: codecs.decode(outcome.output) for outcome in outcomes}


def test_small_pictures_share_batches_and_come_out_as_if_alone(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = str(tiny_compact(tmp_path))
    alone = made(Upscaler(weights, device="cpu", precision="fp32"), sources, tmp_path / "alone")
    sizes = []
    run_tiles = NetworkEngine.run

    def counted(self: NetworkEngine, tiles: FloatArray) -> FloatArray:
        sizes.append(len(tiles))
        return run_tiles(self, tiles)

    monkeypatch.setattr(NetworkEngine, "run", counted)
    shared = made(Upscaler(weights, device="cpu", precision="fp32", batch=8), sources, tmp_path / "shared")
    assert max(sizes) == 8
    with_alpha = COUNT // 4
    assert sum(sizes) == COUNT + with_alpha
    assert len(sizes) < COUNT
    assert alone.keys() == shared.keys()
    for name, picture in alone.items():
        difference = np.abs(picture.pixels.astype(int) - shared[name].pixels)
        assert difference.max() <= 1, name


def test_pictures_are_computed_alone_where_a_batch_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upscaler = Upscaler(str(tiny_compact(tmp_path)), device="cpu", precision="fp32", batch=4)
    pictures = [Picture.from_array(np.full((9, 9, 3), level, np.uint8)) for level in (10, 200)]
    estimates = [upscaler.estimate(picture) for picture in pictures]
    run_tiles = NetworkEngine.run

    def one_at_a_time(self: NetworkEngine, tiles: FloatArray) -> FloatArray:
        if len(tiles) > 1:
            raise EngineError("too many")
        return run_tiles(self, tiles)

    monkeypatch.setattr(NetworkEngine, "run", one_at_a_time)
    engines = upscaler.ahead(pictures, estimates)
    assert not any(isinstance(engine, Ahead) for engine in engines)
    for picture, estimate, engine in zip(pictures, estimates, engines, strict=True):
        assert np.array_equal(upscaler.make(picture, estimate, engine=engine).pixels, upscaler(picture).pixels)


def test_pictures_of_several_tiles_or_passes_are_not_computed_together(tmp_path: Path) -> None:
    upscaler = Upscaler(str(tiny_compact(tmp_path)), device="cpu", batch=4, tile=64)
    small, large = (Picture.from_array(np.zeros((side, side, 3), np.uint8)) for side in (40, 400))
    assert upscaler.estimate(small).alike is not None
    assert upscaler.estimate(large).alike is None
    assert upscaler.estimate(small, 4).alike is None
    assert Upscaler(str(tiny_compact(tmp_path)), device="cpu").estimate(small).alike is None
