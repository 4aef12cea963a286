"""Which library computes a network: torch on the GPUs that it can use, ncnn on others and on processors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.SwinIR import SwinIR

from tests.fake_gpu import pretend
from tests.networks import tiny_compact
from tests.test_vulkan import GPU, SOFTWARE, have
from upscaler import Upscaler, catalog
from upscaler.engines import Engine, EngineOptions, EnginePool, backend, engine_for
from upscaler.engines.ncnn import NcnnEngine
from upscaler.engines.network import NetworkEngine
from upscaler.errors import ModelError, PlanError
from upscaler.vulkan import VulkanDevice

Load = Callable[..., Engine]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a tiny network on a machine without any Vulkan device."""
    have(monkeypatch)
    model = catalog.find(str(tiny_compact(tmp_path)))

    def load(device: str | None = None, precision: str = "auto", backend: str = "auto") -> Engine:
        return engine_for(model, device, precision, backend=backend)

    return load


def transformer(folder: Path) -> Path:
    torch.manual_seed(0)
    network = SwinIR(img_size=8, embed_dim=12, depths=[1], num_heads=[2], window_size=4, upscale=2)
    save_file(network.state_dict(), folder / "swin.safetensors")
    return folder / "swin.safetensors"


def test_processors_are_ncnn_s_unless_torch_is_asked_for(load: Load) -> None:
    for device in (None, "cpu", "auto"):
        for precision in ("auto", "fp32"):
            info = load(device, precision).info
            assert (info.backend, info.device, info.precision) == ("ncnn", "cpu", "fp32")
        assert load(device, backend="torch").info.backend == "torch"
        assert load(device, backend="ncnn").info.backend == "ncnn"


def test_half_precision_on_a_processor_is_torch_s(load: Load) -> None:
    info = load("cpu", "bf16").info
    assert (info.backend, info.precision) == ("torch", "bf16")
    with pytest.raises(PlanError, match=r"^precision=bf16: ncnn computes fp32 on a processor\. Choose auto or fp32\."):
        load("cpu", "bf16", "ncnn")


def test_gpus_that_torch_can_use_are_torch_s(load: Load) -> None:
    with pretend("cuda"):
        assert load().info.device == "cuda:0"
        assert load("cuda").info.backend == "torch"
        assert load(backend="ncnn").info.device == "cpu"
        assert load("cpu").info.backend == "ncnn"
        with pytest.raises(PlanError, match=r"^device=cuda: ncnn computes on cpu or vulkan"):
            load("cuda", backend="ncnn")


@pytest.mark.parametrize(("devices", "place"), [((SOFTWARE,), "cpu"), ((SOFTWARE, GPU), GPU.name)])
def test_other_gpus_are_ncnn_s_if_they_are_real(
    devices: tuple[VulkanDevice, ...], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch, *devices)
    file = tiny_compact(tmp_path)
    found = backend.choose_network("auto", None, "auto", file, None, 1)
    assert found is not None
    assert found[1] == place
    with pretend("cuda"):
        assert backend.choose_network("auto", None, "auto", file, None, 1) is None


def test_torch_computes_what_ncnn_does_not_know(tmp_path: Path) -> None:
    model = catalog.find(str(transformer(tmp_path)))
    assert isinstance(engine_for(model, "cpu"), NetworkEngine)
    for arguments in ({"backend": "ncnn"}, {"device": "vulkan"}):
        with pytest.raises(ModelError, match=r"ncnn cannot compute networks of this architecture\. Leave out"):
            engine_for(model, **arguments)


def test_torch_computes_where_the_cache_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Load
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path / "file"))
    assert load("cpu").info.backend == "torch"
    with pytest.raises(ModelError, match=r"ncnn cannot compute it .*cannot be written"):
        load("cpu", backend="ncnn")


@pytest.mark.parametrize("name", ["tensorflow", ""])
def test_an_unknown_backend_names_its_argument(name: str) -> None:
    with pytest.raises(PlanError, match=rf"^backend={name}: choose auto, torch, ncnn\.") as caught:
        EngineOptions(backend=name)
    assert caught.value.argument == "backend"


def test_vulkan_is_not_torch_s(load: Load) -> None:
    with pytest.raises(PlanError, match=r"^device=vulkan: only ncnn computes there\. Leave out `backend`"):
        load("vulkan", backend="torch")
    with pytest.raises(PlanError, match=r"^device=vulkan: this machine has no such device\. It has none"):
        load("vulkan")


@pytest.mark.parametrize("has_bfloat16", [False, True])
def test_large_pictures_are_torch_s_on_processors_with_bfloat16(
    has_bfloat16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch)
    monkeypatch.setattr(backend, "has_bfloat16", lambda: has_bfloat16)
    pool = EnginePool(catalog.find(str(tiny_compact(tmp_path))), EngineOptions(denoise=1))
    work = pool.enlarger(8).info.multiply_adds
    assert work > 0
    large = int(backend.TORCH_WORK / work) + 1
    for pixels, depth, by in ((large - 1, 8, "ncnn"), (large, 8, "torch"), (large, 16, "ncnn")):
        expected = by if has_bfloat16 else "ncnn"
        assert pool.enlarger(depth, pixels).info.backend == expected
        assert pool.cleaner(depth, pixels).info.backend == expected
    chosen = EnginePool(catalog.find(str(tiny_compact(tmp_path))), EngineOptions(precision="fp32"))
    assert chosen.enlarger(8, large).info.backend == "ncnn"


@pytest.mark.parametrize(("reach", "by"), [(4, "ncnn"), (102, "torch")])
def test_without_bfloat16_pictures_are_torch_s_if_ncnn_would_compute_much_twice(
    reach: int, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch)
    monkeypatch.setattr(backend, "has_bfloat16", lambda: False)
    info = engine_for(catalog.find(str(tiny_compact(tmp_path))), "cpu").info
    needs = replace(info.needs, reach=reach, bytes_per_pixel=60_000)
    info = replace(info, needs=needs, free_memory=8 * 2**30, multiply_adds=1.8e7)
    assert backend.is_faster_by_torch(info, 12_000_000) == (by == "torch")
    assert not backend.is_faster_by_torch(replace(info, device="vulkan:0"), 12_000_000)


def test_results_of_both_are_equal_to_one_level(tmp_path: Path) -> None:
    file = str(tiny_compact(tmp_path))
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    ours, theirs = (
        Upscaler(file, device="cpu", precision="fp32", backend=name)(picture).pixels for name in ("ncnn", "torch")
    )
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert isinstance(engine_for(catalog.find(file), "cpu"), NcnnEngine)
