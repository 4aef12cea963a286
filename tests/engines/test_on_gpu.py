"""Networks on a pretended GPU give what the CPU gives, whatever runs out, and never end in an error of torch."""

from __future__ import annotations

import gc
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.ESRGAN import ESRGAN

from tests.fake_gpu import GIB, FakeGPU, pretend
from tests.networks import tiny_compact, tiny_swinir
from tests.pictures import sample
from upscaler.arrays import FloatArray
from upscaler.engines.checkpoint import Checkpoint
from upscaler.engines.network import NetworkEngine
from upscaler.errors import DeviceLost, ModelError, OutOfMemory
from upscaler.surface import HOST, Upload, cut, surface_for
from upscaler.tiling import Budget, Size, plan

from .faulty import enlarged, grid_for

LEVEL = 1 / 255
KINDS = ["cuda", "xpu", "mps"]


@pytest.fixture(scope="module")
def photo() -> FloatArray:
    return sample("astronaut.jpg")[20:116, 60:156]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_compact(tmp_path_factory.mktemp("network"))


@pytest.fixture
def right(network: Path, photo: FloatArray) -> FloatArray:
    """What the CPU makes of the photo, in one tile."""
    return computed(loaded(network, device="cpu", precision="fp32"), photo, 200)


def loaded(file: Path, **options: Any) -> NetworkEngine:
    return NetworkEngine.load(Checkpoint(file), name=file.stem, reach=4, **options)


def computed(engine: NetworkEngine, pixels: FloatArray, tile: int, batch: int = 1, surface: Any = None) -> FloatArray:
    """What an engine makes of a picture, on the surface of its device unless another one is given. HOST takes memory of
    the device for the network alone."""
    return np.clip(enlarged(engine, pixels, grid_for(pixels, engine, tile, batch), surface), 0, 1)


@pytest.fixture(params=KINDS)
def gpu(request: pytest.FixtureRequest) -> Iterator[FakeGPU]:
    with pretend(request.param) as device:
        yield device


@pytest.mark.parametrize("precision", ["auto", "fp32", "fp16", "bf16"])
def test_each_precision_gives_the_picture_of_the_cpu(
    gpu: FakeGPU, network: Path, photo: FloatArray, right: FloatArray, precision: str
) -> None:
    engine = loaded(network, precision=precision)
    assert engine.info.device.startswith(gpu.device.type)
    assert engine.info.precision == {"auto": "fp16"}.get(precision, precision)
    difference = np.abs(computed(engine, photo, 48, batch=3) - right)
    assert difference.max() < (6 if precision == "bf16" else 1) * LEVEL


@pytest.fixture
def _tf32() -> Iterator[None]:
    """Torch may round products to TF32, too."""
    torch.backends.cuda.matmul.allow_tf32 = True
    yield
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.mark.usefixtures("_tf32")
def test_fp32_has_all_digits_and_torch_gets_its_switches_back(
    network: Path, photo: FloatArray, right: FloatArray
) -> None:
    """16-bit pictures are computed so: half a level of 65,535."""
    with pretend("cuda", tf32=True):
        assert torch.backends.cudnn.allow_tf32
        engine = loaded(network, precision="fp32")
        assert np.abs(computed(engine, photo, 200) - right).max() < 0.5 / 65535
        assert torch.backends.cudnn.allow_tf32
        assert torch.backends.cuda.matmul.allow_tf32


def test_threads_that_compute_in_fp32_at_once_leave_the_switch_as_it_was(network: Path, photo: FloatArray) -> None:
    with pretend("cuda"):
        engine = loaded(network, precision="fp32")
        seen = []

        def compute() -> None:
            for _ in range(20):
                engine.run(photo[None, :32, :32])
                seen.append(0)

        threads = [threading.Thread(target=compute) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == 60
        assert torch.backends.cudnn.allow_tf32


def peak_of(gpu: FakeGPU, compute: Callable[[], object]) -> int:
    """Bytes beyond those that live now."""
    gpu.peak = gpu.live
    before = gpu.live
    compute()
    return gpu.peak - before


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_the_picture_is_the_same_with_ever_less_memory(
    gpu: FakeGPU,
    network: Path,
    photo: FloatArray,
    right: FloatArray,
    precision: str,
    batch: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each step of the ladder, to the CPU at its end. What a failed try had must be free for the next one, or smaller
    tiles would not fit either."""
    tile = 200 if batch == 1 else 48
    whole = peak_of(gpu, lambda: computed(loaded(network, precision=precision), photo, tile, batch, HOST))
    steps = set()
    for share in (0.9, 0.5, 0.2, 0.1, 0.0):
        caplog.clear()
        engine = loaded(network, precision=precision)
        gc.collect()
        gpu.memory = gpu.live + int(whole * share)
        result = computed(engine, photo, tile, batch, HOST)
        gpu.memory = 2**34
        assert np.abs(result - right).max() < LEVEL
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert all(text.startswith("out of memory on") for text in said)
        steps.add(said[-1].partition(", even")[0].rpartition(": ")[2] if said else "none")
        assert ("using cpu instead" in caplog.text) == (share == 0)
    assert len(steps) >= 3, steps


@pytest.mark.parametrize("words", ["allocator", "cublas", "cudnn"])
def test_running_out_at_any_tile_is_survived_in_the_words_of_each_library(
    network: Path, photo: FloatArray, right: FloatArray, words: Any
) -> None:
    with pretend("cuda") as gpu:
        gpu.words = words
        count = grid_for(photo, loaded(network), 48).count
        for fails_at in range(count):
            engine = loaded(network)
            tiles = iter(range(10**6))

            def refuse(name: str, tensors: list[torch.Tensor], at: int = fails_at, tiles: Any = tiles) -> None:
                if name == "pixel_shuffle" and next(tiles) == at:
                    raise gpu.out_of_memory()

            gpu.before = refuse
            result = computed(engine, photo, 48)
            gpu.before = None
            assert next(tiles) > count
            assert np.abs(result - right).max() < LEVEL


def test_out_of_memory_is_remembered_for_the_next_pictures(network: Path, photo: FloatArray) -> None:
    """And for batches of other pictures: nothing fails a second time."""
    failures = []
    with pretend("cuda") as gpu:
        engine = loaded(network)

        def refuse(name: str, tensors: list[torch.Tensor]) -> None:
            if name == "conv2d" and tensors[0].shape[0] * tensors[0].shape[2] * tensors[0].shape[3] > 1600:
                failures.append(name)
                raise gpu.out_of_memory()

        gpu.before = refuse
        for tile, batch, expected in ((200, 1, 2), (48, 4, 2), (24, 8, 2), (200, 1, 2)):
            computed(engine, photo, tile, batch)
            assert len(failures) == expected


def test_a_network_that_does_not_fit_is_a_sentence_and_leaves_nothing_on_the_device(
    gpu: FakeGPU, network: Path, photo: FloatArray, right: FloatArray
) -> None:
    gpu.memory = 1000
    with pytest.raises(OutOfMemory, match=r"the network does not fit into the memory of .* Choose a smaller model"):
        loaded(network)
    gc.collect()
    assert (gpu.live, gpu.reserved) == (0, 0)


def test_a_wrong_tile_is_mended_on_the_cpu_if_there_is_no_room_for_another_network(
    network: Path, photo: FloatArray, right: FloatArray
) -> None:
    with pretend("cuda") as gpu:
        engine = loaded(network)
        engine.run(photo[None, :48, :48])

        def spoil(name: str, tensors: list[torch.Tensor]) -> None:
            if name == "pixel_shuffle":
                gpu.memory = gpu.live + 1000
                tensors[0].fill_(torch.nan)

        gpu.before = spoil
        assert np.abs(computed(engine, photo, 48, surface=HOST) - right).max() < LEVEL


def test_a_lost_device_is_an_error_of_its_own_at_once(gpu: FakeGPU, network: Path, photo: FloatArray) -> None:
    for precision in ("fp16", "fp32"):
        with pretend(gpu.device.type) as device:  # type: ignore[arg-type]
            engine = loaded(network, precision=precision)
            device.lose()
            with pytest.raises(
                DeviceLost, match=r"^\w+(:0)? is lost to this process \(.*launch failure\)\. Run the same"
            ):
                computed(engine, photo, 48, surface=HOST)
            with pytest.raises(DeviceLost):
                loaded(network, precision=precision)


def test_tensors_stay_below_the_size_at_which_kernels_fail(gpu: FakeGPU, network: Path, tmp_path: Path) -> None:
    """8 features of the network at its own size; 3 of twice the size are 12."""
    for precision, elements in (("fp16", 2**31), ("fp32", 2**30 if gpu.device.type == "mps" else 2**31)):
        needs = loaded(network, precision=precision).info.needs
        assert needs.most_pixels == (elements - 1) // 12
    swinir = loaded(tiny_swinir(tmp_path)).info.needs.most_pixels
    assert swinir < 2**31 / 48, "the hidden layers of its transformer have 24 elements a pixel, its windows' maps more"
    assert loaded(network, device="cpu").info.needs.most_pixels == float("inf")


def test_tiles_that_would_make_larger_tensors_are_computed_in_parts(
    network: Path, photo: FloatArray, right: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upscaler.engines.network.LARGEST_TENSOR", 12 * 2000)
    sizes = []
    with pretend("cuda") as gpu:
        engine = loaded(network)
        gpu.before = lambda name, tensors: sizes.append(tensors[0].numel() if tensors else 0)
        assert np.abs(computed(engine, photo, 64, 4, HOST) - right).max() < LEVEL
        assert 10000 < max(sizes) < 12 * 2000
        whole = NetworkEngine.run(engine, photo[None, :40, :40])
        assert whole.shape == (1, 80, 80, 3)
        with pytest.raises(OutOfMemory, match="would be larger than cuda:0 can compute"):
            engine.run(photo[None])


def test_the_plan_knows_the_memory_of_the_device_and_the_precision_of_its_results(gpu: FakeGPU, network: Path) -> None:
    half, exact = (loaded(network, precision=precision).info for precision in ("fp16", "fp32"))
    if gpu.device.type != "mps":
        assert half.free_memory == pytest.approx(gpu.memory * 0.6, rel=0.001)
    assert (half.needs.result_bytes, exact.needs.result_bytes) == (2, 4)
    assert half.needs.strip_values > 2**20
    on_cpu = loaded(network, device="cpu").info.needs
    assert (on_cpu.result_bytes, on_cpu.strip_values) == (4, 0)


def test_tiles_do_not_depend_on_what_other_programs_use(network: Path) -> None:
    plans, budgets = set(), []
    for others in (0, 0.5, 1, 5):
        with pretend("cuda", memory=8 * GIB, others=int(others * GIB)):
            info = loaded(network).info
        budgets.append(info.free_memory)
        plans.add(plan(Size(4000, 3000), info.needs, Budget(info.tile_memory)))
    assert budgets[:3] == [int(8 * GIB * 0.6)] * 3
    assert budgets[3] <= 0.8 * 3 * GIB
    assert len(plans) <= 2


@pytest.mark.parametrize("batch", [1, 4])
def test_a_divided_network_takes_what_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """Within a fifth, with the results that are kept until a row of tiles is complete."""
    monkeypatch.setattr("upscaler.engines.trunk.GPU_PART", 16)
    torch.manual_seed(0)
    file = tmp_path / "esrgan.safetensors"
    save_file({name: value * 0.1 for name, value in ESRGAN(num_blocks=1).state_dict().items()}, file)
    pixels = np.random.default_rng(0).random((300, 280, 3), np.float32)
    with pretend("cuda") as gpu:
        engine = loaded(file)
        weights = gpu.live
        needs = replace(engine.info.needs, strip_values=0)  # nothing is finished here
        grid = plan(Size(280, 300), needs, Budget(2**31, tile=128, batch=batch))
        gpu.peak = gpu.live
        kept: deque[Any] = deque(maxlen=len(grid.x.starts))  # as long as a row of tiles is not complete
        for tiles in cut(Upload(pixels, surface_for("cuda:0")), grid):
            kept.extend(engine.run(tiles.pixels))
        used = gpu.peak - weights
    assert grid.batch == batch
    assert used <= grid.memory <= 1.2 * used


def test_a_model_that_cannot_be_computed_is_still_told_from_one_without_room(
    network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretend("cuda") as gpu:

        def refuse(name: str, tensors: list[torch.Tensor]) -> None:
            if name == "conv2d":
                raise RuntimeError("no kernel")

        gpu.before = refuse
        with pytest.raises(ModelError, match="cannot be computed on cuda:0"):
            loaded(network)
