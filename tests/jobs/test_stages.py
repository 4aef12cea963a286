"""Small pictures of one run share batches and come out as they would alone; what is read, and what is refused."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.networks import tiny_compact
from upscaler import Picture, PictureError, Target, codecs
from upscaler.arrays import FloatArray
from upscaler.codecs import EncodeOptions
from upscaler.engines.network import NetworkEngine
from upscaler.inputs.discover import Job, find_jobs
from upscaler.jobs.batch import run
from upscaler.jobs.stages import read
from upscaler.pipeline import Pipeline, PipelineOptions
from upscaler.progress import ProgressCallback

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


def made(pipeline: Pipeline, sources: Path, output: Path) -> dict[str, Picture]:
    """All of a folder, of which nothing is computed before all has been read."""
    everything_read = threading.Event()

    def jobs() -> Iterator[Job]:
        yield from find_jobs([str(sources)], f"{output}/", EncodeOptions(), "").jobs
        everything_read.set()

    def wait(_: str) -> ProgressCallback:
        everything_read.wait(20)
        return lambda *_: None

    outcomes = run(pipeline, jobs(), Target(scale=2), progress=wait)
    return {outcome.source.name: codecs.decode(outcome.output) for outcome in outcomes}


def test_small_pictures_share_batches_and_come_out_as_if_alone(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = str(tiny_compact(tmp_path))
    alone = made(Pipeline(weights, PipelineOptions(device="cpu", precision="fp32")), sources, tmp_path / "alone")
    sizes = []
    run_tiles = NetworkEngine.run

    def counted(self: NetworkEngine, tiles: FloatArray) -> FloatArray:
        sizes.append(len(tiles))
        return run_tiles(self, tiles)

    monkeypatch.setattr(NetworkEngine, "run", counted)
    shared = made(
        Pipeline(weights, PipelineOptions(device="cpu", precision="fp32", batch=8)), sources, tmp_path / "shared"
    )
    assert max(sizes) == 8
    with_alpha = COUNT // 4
    assert sum(sizes) == COUNT + with_alpha
    assert len(sizes) < COUNT
    assert alone.keys() == shared.keys()
    for name, picture in alone.items():
        difference = np.abs(picture.pixels.astype(int) - shared[name].pixels)
        assert difference.max() <= 1, name


def test_a_result_that_its_format_cannot_hold_is_refused_before_it_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Picture.from_array(np.zeros((4, 8000, 3), np.uint8)).save("long.png")
    (outcome,) = run(Pipeline("lanczos"), [Job(Path("long.png"), Path("x.webp"))], Target(), dry_run=True)
    assert outcome.error == (
        "x.webp: 32000x16 is too large for WEBP, which holds 16383 pixels a side. Choose .png or .tif."
    )


def test_read_refuses_what_can_be_read_but_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.png")
    os.mkdir("in")
    with pytest.raises(PictureError, match="is a pipe or a device, not a file"):
        read(Path("pipe.png"))
    with pytest.raises(PictureError, match="in: this is a folder, not a picture"):
        read(Path("in"))
