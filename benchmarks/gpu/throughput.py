"""How fast it is, and how busy the GPU: bare networks, the stages of one picture, folders in several processes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from upscaler import tiling
from upscaler.engines import verify
from upscaler.pipeline import FIDELITY, Pipeline
from upscaler.surface import LrRmse, Upload, back_project, blend, cut, surface_for, write_bands
from upscaler.tiling import Tile

from .material import Network, Pixels, networks, photograph, picture, x4plus
from .run import ROOT, Run, Skipped

PEAK = 790e12
"""Operations a second in bf16 that an H200 was measured to do; `facts` says what this card does."""

SHAPES = ((16, 256, 256), (4, 512, 512), (1, 1024, 1024), (1, 1240, 1648))
"""Batches of tiles: count, height, width. All are a megapixel or two."""


def check_networks(run: Run) -> None:
    """Milliseconds a megapixel of the bare networks in half precision, by the shape of the batch and the layout."""
    for network in networks(run):
        bare = network.load(run)
        for layout in (torch.channels_last, torch.contiguous_format):
            bare = bare.to(memory_format=layout)
            is_plain = layout == torch.contiguous_format
            for shape in [(1, 32, 32)] if run.dry else SHAPES[2:3] if is_plain else SHAPES:
                _say_network(run, network, bare, _batch(run, bare, shape, layout), "planes" if is_plain else "")


def check_compile(run: Run) -> None:
    """What CUDA graphs, cuDNN's own benchmark and torch.compile bring for a tile of a megapixel, and what they cost."""
    shape = (1, 32, 32) if run.dry else (1, 1024, 1024)
    megapixels = shape[1] * shape[2] / 1e6
    for network in networks(run):
        bare = network.load(run)
        batch = _batch(run, bare, shape, torch.channels_last)
        with torch.inference_mode():
            eager = run.seconds(lambda bare=bare, batch=batch: bare(batch))
            run.say(f"{network.name}: ms a megapixel as it is", 1e3 * eager / megapixels)
            if not run.dry:
                graphed = run.seconds(_graph(bare, batch))
                note = f"{eager / graphed:.2f} times as fast"
                run.say(f"{network.name}: as a CUDA graph", 1e3 * graphed / megapixels, note)
            torch.backends.cudnn.benchmark = True
            chosen = run.seconds(lambda bare=bare, batch=batch: bare(batch), warm=3)
            torch.backends.cudnn.benchmark = False
            note = f"{eager / chosen:.2f} times as fast"
            run.say(f"{network.name}: with cudnn.benchmark", 1e3 * chosen / megapixels, note)
            compiled = torch.compile(bare, dynamic=False, backend="eager" if run.dry else "inductor")
            first = run.wall(lambda compiled=compiled, batch=batch: compiled(batch))
            after = run.seconds(lambda compiled=compiled, batch=batch: compiled(batch))
            note = f"{eager / after:.2f} times as fast after {first:.0f} s"
            run.say(f"{network.name}: compiled", 1e3 * after / megapixels, note)


def check_stages(run: Run) -> None:
    """One picture of two megapixels: how much of the time the GPU computes, and where the rest goes."""
    source, repeats = photograph(run), 1 if run.dry else 3
    for network in networks(run):
        pipeline = network.pipeline(run)
        pipeline.run(source)
        with _Clock(run, _bare_of(pipeline)) as clock:
            wall = run.wall(lambda pipeline=pipeline: [pipeline.run(source) for _ in range(repeats)]) / repeats
        gpu = clock.seconds() / repeats
        run.say(f"{network.name}: ms a picture", 1e3 * wall)
        run.say(f"{network.name}: ms of it that the network takes", 1e3 * gpu)
        run.say(f"{network.name}: % of the time that the GPU computes", 100 * gpu / wall)
        run.say(f"{network.name}: ms of each stage", _stages(run, pipeline, source))
        pipeline.close()


def check_on_device(run: Run) -> None:
    """Pictures of two megapixels in a row: how many a second, how busy the GPU is, which is to be at least 95 % for
    x4plus, milliseconds after the network, and bytes that cross: the source and the result, as whole numbers."""
    source, count = photograph(run), 2 if run.dry else 20
    for network in networks(run):
        pipeline = network.pipeline(run)
        result = pipeline.run(source).pixels
        with _Clock(run, _bare_of(pipeline)) as clock:
            wall = run.wall(lambda pipeline=pipeline: [pipeline.run(source) for _ in range(count)])
        busy = 100 * clock.seconds() / wall
        run.say(f"{network.name}: pictures a second", count / wall)
        run.say(
            f"{network.name}: % of the time that the network computes",
            busy,
            right=run.dry or network.name != "x4plus" or busy >= 95,
        )
        after = _stages(run, pipeline, source)["blended, held to the source, rounded, on the host"]
        run.say(f"{network.name}: ms after the network", after)
        with _Crossings() as crossings:
            pipeline.run(source)
        for way, pixels in (("up", source), ("down", result)):
            moved = crossings.bytes[way] / pixels.nbytes
            run.say(f"{network.name}: bytes that go {way}, of the picture's", moved, right=run.dry or 1 <= moved < 1.05)
        pipeline.close()


def check_processes(run: Run) -> None:
    """Small pictures of a folder a second, with one, two and four processes on the card: whether sharing it pays."""
    source, output = run.work / "in", run.work / "out"
    source.mkdir()
    count, side = (3, 64) if run.dry else (96, 512)
    for index in range(count):
        cv2.imwrite(str(source / f"{index}.jpg"), picture(side, side, index)[:, :, ::-1])
    ways = ((1, "jpg"),) if run.dry else ((1, "jpg"), (2, "jpg"), (4, "jpg"), (1, "png"), (4, "png"))
    for processes, suffix in ways:
        shutil.rmtree(output, ignore_errors=True)
        options = ["--devices", ",".join([run.device] * processes), "-f", suffix, "-m", "photo"]
        command = [sys.executable, "-m", "upscaler", str(source), "-o", f"{output}/", *options]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        made = len(list(output.glob(f"*.{suffix}")))
        if made < count:
            print("\n".join(done.stderr.splitlines()[-10:]), flush=True)
        run.say(
            f"{suffix}, {processes} on the card: pictures a second, the start included",
            made / seconds,
            f"{made} of {count} in {seconds:.1f} s",
            right=made == count and done.returncode == 0,
        )


def check_peers(run: Run) -> None:
    """Real-ESRGAN's own class beside ours: the same weights, picture, card and half precision; whole and in tiles."""
    import importlib.util
    import json

    modules = ("realesrgan", "basicsr", "scipy", "yaml", "torchvision")
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise Skipped(f"Real-ESRGAN's package needs {', '.join(missing)}, neither installed nor carried")
    source, precision = photograph(run), "fp32" if run.dry else "fp16"
    np.save(run.work / "picture.npy", source)
    for network in networks(run)[1:]:
        pipeline = network.pipeline(run, precision=precision)
        pipeline.run(source)
        ours = min(run.wall(lambda pipeline=pipeline: pipeline.run(source)) for _ in range(1 if run.dry else 3))
        run.say(f"{network.name}: seconds of ours, {precision}", ours)
        pipeline.close()
        for tile in (0, 512):
            job = {
                "weights": str(network.model.file),
                "network": network.rival,
                "picture": str(run.work / "picture.npy"),
                "tile": tile,
                "tile_pad": 10,
                "repeats": 1 if run.dry else 3,
                "device": run.device,
                "precision": precision,
            }
            command = [sys.executable, str(ROOT / "benchmarks" / "rival.py"), json.dumps(job)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            way = f"tiles of {tile}" if tile else "whole"
            title = f"{network.name}: seconds of Real-ESRGAN's class, {way}, {precision}"
            if done.returncode:
                run.say(title, done.stderr.strip().splitlines()[-1], right=False)
                continue
            theirs = min(json.loads(done.stdout)["seconds"])
            run.say(title, theirs, f"{theirs / ours:.2f} times ours")


def check_tile_times(run: Run) -> None:
    """Not run by default: how the time of a megapixel of x4plus depends on the side of its tiles."""
    network = x4plus(run)
    bare = network.load(run)
    for side in (32,) if run.dry else (128, 192, 256, 384, 512, 768, 1024):
        count = 1 if run.dry else max(2**20 // side**2, 1)
        _say_network(run, network, bare, _batch(run, bare, (count, side, side), torch.channels_last), "")


@dataclass
class _Clock:
    """Measures how long the GPU computes a network, between events around each of its calls."""

    run: Run
    network: torch.nn.Module

    def __enter__(self) -> _Clock:
        self._stack, self._starts, self._ends = ExitStack(), [], []
        before = self.network.register_forward_pre_hook(lambda *_: self._starts.append(self._now()))
        after = self.network.register_forward_hook(lambda *_: self._ends.append(self._now()))
        for hook in (before, after):
            self._stack.callback(hook.remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def seconds(self) -> float:
        """Returns the seconds of all calls."""
        self.run.synchronize()
        pairs = zip(self._starts, self._ends, strict=True)
        if self.run.dry:
            return sum(end - start for start, end in pairs)
        return sum(start.elapsed_time(end) for start, end in pairs) / 1e3

    def _now(self) -> Any:
        if self.run.dry:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


class _Crossings(TorchDispatchMode):
    """Counts the bytes that this thread sends to a GPU and fetches from it."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = {"up": 0, "down": 0}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            source, target = (args[1], args[0]) if func == torch.ops.aten.copy_.default else (args[0], result)
            if source.is_cuda != target.is_cuda:
                self.bytes["up" if target.is_cuda else "down"] += target.nbytes
        return result


def _stages(run: Run, pipeline: Pipeline, source: Pixels) -> dict[str, float]:
    """Returns the milliseconds of each stage on its own, with what it has left to the GPU; the least of three."""
    plan = pipeline.estimate(source).plans[0]
    assert isinstance(plan, tiling.Plan)
    engine = pipeline._engines.enlarger(8)
    place = surface_for(engine.info.device)
    batches = list(cut(Upload(source, place), plan))
    batch = batches[0]
    results = [engine.run(each.pixels) for each in batches]
    pairs = [pair for each, made in zip(batches, results, strict=True) for pair in zip(each.regions, made, strict=True)]
    tiles = [Tile(region, pixels) for region, pixels in pairs]
    canvas = np.empty((source.shape[0] * plan.scale, source.shape[1] * plan.scale, 3), np.uint8)

    def finish() -> None:
        upload = Upload(source, place)
        write_bands(back_project(blend(tiles, plan), upload, plan.scale, FIDELITY, LrRmse()), canvas)

    works: dict[str, Callable[[], object]] = {
        "sent and cut": lambda: list(cut(Upload(source, place), plan)),
        "first batch through the engine": lambda: engine.run(batch.pixels),
        "first batch checked": lambda: [
            verify.fault(found, True) for found in place.measure(batch.pixels, results[0], None)()
        ],
        "blended, held to the source, rounded, on the host": finish,
    }
    repeats = 1 if run.dry else 3
    return {name: round(1e3 * min(run.wall(work) for _ in range(repeats)), 1) for name, work in works.items()}


def _bare_of(pipeline: Pipeline) -> torch.nn.Module:
    network: torch.nn.Module = pipeline._engines.enlarger(8)._computation.network.model
    return network


def _batch(run: Run, bare: torch.nn.Module, shape: tuple[int, int, int], layout: torch.memory_format) -> torch.Tensor:
    count, height, width = shape
    batch = torch.rand(count, 3, height, width, device=run.device, dtype=next(bare.parameters()).dtype)
    return batch.contiguous(memory_format=layout)


def _say_network(run: Run, network: Network, bare: torch.nn.Module, batch: torch.Tensor, note: str) -> None:
    count, _, height, width = batch.shape
    pixels = count * height * width
    with torch.inference_mode():
        first = run.wall(lambda: bare(batch))
        seconds = run.seconds(lambda: bare(batch), 3)
        peak = run.peak(lambda: bare(batch))
    speed = 2 * network.operations * pixels / seconds
    run.say(
        f"{network.name} {count}x{width}x{height}{f', {note}' if note else ''}: ms a megapixel",
        1e9 * seconds / pixels,
        f"{speed / 1e12:.0f} TFLOP/s, {100 * speed / PEAK:.0f} % of the peak; first call {1e3 * first:.0f} ms; "
        f"{peak / pixels:.0f} bytes a pixel",
    )


def _graph(bare: torch.nn.Module, batch: torch.Tensor) -> Callable[[], None]:
    """Returns a function that replays the network, recorded once."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        bare(batch)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        bare(batch)
    return graph.replay
