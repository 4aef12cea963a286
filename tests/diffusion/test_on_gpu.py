"""Diffusion models on a pretended GPU: where their parts are, and what is done when memory runs out there."""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel
from numpy.typing import NDArray

from tests.diffusion import tiny
from tests.fake_gpu import GIB, FakeGPU, pretend
from tests.text2image.conftest import Saved
from upscaler import DeviceLost, Diffusion, GenerationParameters, OutOfMemory, Size, TextToImage, Upscaler
from upscaler.diffusion import memory, runner
from upscaler.diffusion.memory import OFFLOADS, Facts, Offload, Placement

UPSCALERS: dict[str, Callable[[], DiffusionPipeline]] = {
    "x4": tiny.build_x4, "x2": tiny.build_x2, "sd": tiny.build_sd, "sdxl": tiny.build_sdxl, "sd3": tiny.build_sd3,
    "flux": tiny.build_flux,
}  # fmt: skip
GENERATORS = ("sd", "sdxl", "sd3", "flux", "schnell", "klein", "z-image", "sana-sprint", "qwen-image", "tolerant")

Place = Callable[..., None]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    """Makes models be placed in this way, as if there were 40 GB."""

    def change(**changes: Any) -> None:
        def place(facts: Facts, device: torch.device, budget: int | None, precision: str) -> Placement:
            return replace(memory.place(facts, device, budget or 40 * 10**9, precision), **changes)

        monkeypatch.setattr(runner, "place", place)

    return change


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("upscalers")
    for name, build in UPSCALERS.items():
        build().save_pretrained(base / name)
    tiny.build_controlnet(tiny.build_sd().unet).save_pretrained(base / "tile")
    return {path.name: str(path) for path in base.iterdir()}


def source(side: int = 40) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:side, 0 : side + 16]
    plane = 128 + 80 * np.sin(x / 7) + 30 * np.cos(y / 5) - 40 * (x > side / 2)
    return np.stack([plane, 0.9 * plane, 0.8 * plane], axis=2).clip(0, 255).astype(np.uint8)


def enlarge(model: str, device: str | None, **options: Any) -> NDArray[Any]:
    parameters = {"steps": 2, "prompt": "a cat", **options}
    with Upscaler(model, device=device, precision="fp32", diffusion=Diffusion(**parameters)) as upscaler:
        return upscaler(source(), 2).pixels


def draw(model: Any, device: str | None, **options: Any) -> NDArray[Any]:
    with TextToImage(str(model), device=device, precision="fp32", **options) as generator:
        return generator(GenerationParameters("a cat", size=Size(64, 96), steps=2, seed=3)).pixels


def levels(first: NDArray[Any], second: NDArray[Any]) -> int:
    return int(np.abs(first.astype(int) - second).max())


@pytest.mark.parametrize("model", [*UPSCALERS, "sd+control"])
def test_upscalers_make_on_a_gpu_what_they_make_on_the_processor(
    folders: dict[str, str], place: Place, model: str
) -> None:
    options = {"control": folders["tile"]} if "+" in model else {}
    folder = folders[model.partition("+")[0]]
    place(vae_tile=16)
    expected = enlarge(folder, "cpu", **options)
    for offload in OFFLOADS:
        place(vae_tile=16, offload=offload)
        with pretend(tf32=False) as gpu:
            assert levels(enlarge(folder, None, **options), expected) <= 1, offload
            assert (gpu.live, gpu.reserved, gpu.share) == (0, 0, 1.0)


@pytest.mark.parametrize("model", GENERATORS)
def test_generators_draw_on_a_gpu_what_they_draw_on_the_processor(saved: Saved, place: Place, model: str) -> None:
    expected = draw(saved(model), "cpu")
    for offload in OFFLOADS:
        place(offload=offload)
        with pretend(tf32=False) as gpu:
            assert levels(draw(saved(model), None), expected) <= 1, offload
            assert gpu.live == gpu.reserved <= (2**20 if model == "qwen-image" else 0)  # diffusers keeps its positions
            assert gpu.share == 1.0


@pytest.fixture(scope="module")
def largest_need(folders: dict[str, str]) -> int:
    """The bytes that `enlarge_in_windows` takes when there is room for all that it wants to do at once."""
    with pretend(tf32=False) as gpu:
        enlarge_in_windows(folders, None)
        return gpu.peak


def enlarge_in_windows(folders: dict[str, str], device: str | None) -> NDArray[Any]:
    def place(facts: Facts, device: torch.device, budget: int | None, precision: str) -> Placement:
        return replace(memory.place(facts, device, 40 * 10**9, precision), vae_tile=16, batch=16)

    with (
        patch.object(runner, "place", place),
        Upscaler(
            folders["x4"], device=device, precision="fp32", tile=32, diffusion=Diffusion(steps=1, prompt="a")
        ) as upscaler,
    ):
        return upscaler(source(100)).pixels


@pytest.mark.parametrize(
    ("kind", "words", "share", "steps"),
    [
        ("cuda", "allocator", 0.6, ["windows at a time"]),
        ("cuda", "cublas", 0.4, ["windows at a time", "samples together"]),
        ("cuda", "cudnn", 0.2, ["windows at a time", "samples together", "with less of x4 there"]),
        ("xpu", "allocator", 0.18, ["windows at a time", "samples together", "with less of x4 there"]),
        ("mps", "allocator", 0.3, ["windows at a time", "samples together"]),
    ],
)
def test_a_small_card_makes_the_same_picture_in_smaller_steps(
    folders: dict[str, str], largest_need: int, kind: Any, words: Any, share: float, steps: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    expected = enlarge_in_windows(folders, "cpu")
    with pretend(kind, memory=int(share * largest_need), tf32=False) as gpu:
        gpu.words = words
        assert levels(enlarge_in_windows(folders, None), expected) <= 1
        assert gpu.live == gpu.reserved == 0
    assert all(f"out of memory on {kind}" in caplog.text and step in caplog.text for step in steps)


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_devices_without_float64_make_the_same(folders: dict[str, str], place: Place, kind: str) -> None:
    place(vae_tile=16)
    expected = enlarge(folders["sd"], "cpu")
    with pretend(kind, float64=False):
        assert levels(enlarge(folders["sd"], None), expected) <= 1


STAGES = {
    "load": "upscaler.diffusion.runner.put_in_place",
    "denoise": "diffusers.UNet2DConditionModel.forward",
    "decode": "diffusers.models.unets.unet_2d_blocks.UpDecoderBlock2D.forward",
    "check": "diffusers.StableDiffusionPipeline.run_safety_checker",
}
"""What is called in each stage of a run."""


@pytest.mark.parametrize(("stage", "words"), zip(STAGES, ["allocator", "cublas", "cudnn", "allocator"], strict=True))
def test_out_of_memory_leaves_more_and_more_of_the_model_on_the_processor(
    saved: Saved, place: Place, stage: str, words: Any, caplog: pytest.LogCaptureFixture
) -> None:
    expected = draw(saved("tolerant"), "cpu")
    place(offload="none")
    with pretend(tf32=False) as gpu, TextToImage(str(saved("tolerant")), precision="fp32") as generator:
        gpu.words = words
        own, refused = pkgutil.resolve_name(STAGES[stage]), []

        def refuse(*args: Any, **kwargs: Any) -> Any:
            result = own(*args, **kwargs)
            offload = generator._runner.placement.offload
            if offload == "group":
                return result
            refused.append(offload)
            raise gpu.out_of_memory(2**20)

        with patch(STAGES[stage], refuse):
            picture = generator(GenerationParameters("a cat", size=Size(64, 96), steps=2, seed=3)).pixels
    assert levels(picture, expected) <= 1
    assert list(dict.fromkeys(refused)) == ["none", "model"]
    assert caplog.text.count("out of memory on cuda:0: going on with less of tolerant there, slower.") == 2


def test_out_of_memory_on_mps_gives_the_advice(saved: Saved) -> None:
    with pretend("mps") as gpu, TextToImage(str(saved("sd")), precision="fp32") as generator:

        def refuse(*_: Any, **__: Any) -> None:
            raise gpu.out_of_memory(2**20)

        with (
            patch("diffusers.UNet2DConditionModel.forward", refuse),
            pytest.raises(OutOfMemory, match=r"out of memory on mps: sd has no room for 64x64\. Make it smaller"),
        ):
            generator("a cat", size=Size(64, 64), steps=1)


def test_half_precision_has_left_the_device_when_float32_is_loaded(tmp_path: Path, place: Place) -> None:
    pipeline = tiny.build_x4()
    with torch.no_grad():
        pipeline.unet.conv_out.weight.mul_(3e6)
    pipeline.save_pretrained(tmp_path / "wild")
    place(vae_tile=16)
    own, live = runner.put_in_place, []
    with pretend() as gpu, Upscaler(str(tmp_path / "wild"), precision="fp16", diffusion=Diffusion(steps=1)) as upscaler:

        def watch(*args: Any) -> Any:
            live.append((gpu.live, gpu.reserved))
            return own(*args)

        with patch.object(runner, "put_in_place", watch):
            upscaler(source())
    assert live == [(0, 0), (0, 0)]


@pytest.mark.parametrize("offload", OFFLOADS)
def test_the_share_of_memory_is_the_budget_s_while_a_model_computes_and_whole_afterwards(
    folders: dict[str, str], place: Place, offload: Offload
) -> None:
    place(offload=offload, vae_tile=16)
    own, shares = UNet2DConditionModel.forward, []
    with pretend(memory=24 * GIB) as gpu:
        others = torch.empty(GIB, dtype=torch.uint8, device="cuda")

        @functools.wraps(own)
        def watch(*args: Any, **kwargs: Any) -> Any:
            shares.append(gpu.share)
            return own(*args, **kwargs)

        with (
            patch.object(UNet2DConditionModel, "forward", watch),
            Upscaler(folders["sd"], memory=2 * GIB, diffusion=Diffusion(steps=4)) as upscaler,
        ):
            upscaler(source())
            assert gpu.share == 1.0  # although the model is still loaded
            upscaler(source())
        assert shares
        assert shares == pytest.approx([3 / 24] * len(shares), rel=0.01)
        assert gpu.live == others.nbytes


def test_a_generator_and_an_upscaler_leave_memory_to_each_other(saved: Saved, folders: dict[str, str]) -> None:
    with pretend() as gpu:
        with TextToImage(str(saved("sd"))) as generator:
            picture = generator("a cat", size=Size(64, 64), steps=1)
        assert (gpu.live, gpu.reserved) == (0, 0)
        for model in ("photo-fast", folders["sd"]):
            with Upscaler(model) as upscaler:
                upscaler(picture)
                assert gpu.live > 0
            assert (gpu.live, gpu.reserved) == (0, 0)


@pytest.mark.parametrize("offload", OFFLOADS)
def test_a_lost_device_is_an_error_of_its_own(folders: dict[str, str], place: Place, offload: Offload) -> None:
    """While the model is loaded, denoises or decodes."""
    place(vae_tile=16, offload=offload)
    for lost_at in ("group_norm", "linear", "silu", None):
        with pretend(tf32=False) as gpu:

            def lose(name: str, tensors: list[torch.Tensor], at: str | None = lost_at, gpu: FakeGPU = gpu) -> None:
                if name == at:
                    gpu.lose()
                    gpu._check()

            if lost_at is None:
                gpu.lose()
            gpu.before = lose
            upscaler = Upscaler(folders["x4"], precision="fp32", diffusion=Diffusion(steps=1, prompt="a"))
            with pytest.raises(DeviceLost, match=r"^cuda:0 is lost to this process \(.*launch failure\)"):
                upscaler(source(), 2)
