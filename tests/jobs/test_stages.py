"""Small pictures of one run share batches and come out as they would alone; what is read, and what is refused."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fake_gpu import pretend
from tests.networks import tiny_compact
from upscaler import Picture, PictureError, Target, codecs
from upscaler.arrays import FloatArray
from upscaler.codecs import EncodeOptions
from upscaler.engines.network import NetworkEngine
from upscaler.inputs.discover import Job, find_jobs
from upscaler.jobs import report, stage_queues
from upscaler.jobs.batch import run
from upscaler.jobs.stages import read
from upscaler.pipeline import Pipeline, PipelineOptions
from upscaler.progress import ProgressCallback

from .work import tree

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
    alone = made(
        Pipeline(weights, PipelineOptions(device="cpu", backend="torch", precision="fp32")), sources, tmp_path / "alone"
    )
    sizes = []
    run_tiles = NetworkEngine.run

    def counted(self: NetworkEngine, tiles: FloatArray) -> FloatArray:
        sizes.append(len(tiles))
        return run_tiles(self, tiles)

    monkeypatch.setattr(NetworkEngine, "run", counted)
    shared = made(
        Pipeline(weights, PipelineOptions(device="cpu", backend="torch", precision="fp32", batch=8)),
        sources,
        tmp_path / "shared",
    )
    assert max(sizes) == 8
    with_alpha = COUNT // 4
    assert sum(sizes) == COUNT + with_alpha
    assert len(sizes) < COUNT
    assert alone.keys() == shared.keys()
    for name, picture in alone.items():
        difference = np.abs(picture.pixels.astype(int) - shared[name].pixels)
        assert difference.max() <= 1, name


def test_as_many_threads_as_there_are_make_the_same_files_and_report(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sources / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n but no picture")
    monkeypatch.chdir(tmp_path)
    pipeline = Pipeline(str(tiny_compact(tmp_path)))
    batches: list[list[int]] = []
    run_tiles = NetworkEngine.run

    def counted(self: NetworkEngine, tiles: FloatArray) -> FloatArray:
        batches[-1].append(len(tiles))
        return run_tiles(self, tiles)

    def make(readers: int, writers: int) -> tuple[dict[str, str], list[dict[str, str]]]:
        monkeypatch.setattr(stage_queues, "WRITERS", min(writers, 2))
        monkeypatch.setattr(stage_queues, "count_threads", lambda: (readers, writers))
        shutil.rmtree("out", ignore_errors=True)
        batches.append([])
        found = find_jobs(["in"], "out/", EncodeOptions(), "")
        outcomes = list(run(pipeline, found.jobs, Target(scale=2), folder=found.folder))
        report.write(Path("report.json"), outcomes, ())
        rows = [{**row, "seconds": ""} for row in json.loads(Path("report.json").read_text())]
        return tree(Path("out")), sorted(rows, key=lambda row: str(row["source"]))

    with pretend("cuda"):
        pipeline.estimate(Picture.from_array(np.zeros((8, 8, 3), np.uint8)))
        monkeypatch.setattr(NetworkEngine, "run", counted)
        first = make(1, 1)
        assert len(first[0]) == COUNT
        assert [row["outcome"] for row in first[1]].count("failed") == 1
        assert make(3, 8) == first
    assert batches[0] == batches[1]
    assert max(batches[0]) > 10


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
