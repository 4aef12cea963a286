"""Stock pipelines with their denoisers tiled: equal to themselves where they should be, without borders where not."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    HeunDiscreteScheduler,
)
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from PIL import Image
from torch import nn

from upscaler.arrays import FloatArray
from upscaler.diffusion.denoiser import tile_denoiser
from upscaler.diffusion.families import family
from upscaler.diffusion.patch import Inner, replace_forward
from upscaler.diffusion.vae import decode, encode
from upscaler.errors import EngineError, ModelError, OutOfMemory, PlanError

from . import tiny
from .cases import CASES, Case, seeded
from .seams import largest_step, seam_score

every_class = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def denoiser(pipeline: Any) -> nn.Module:
    module: nn.Module = pipeline.transformer if hasattr(pipeline, "transformer") else pipeline.unet
    return module


@contextmanager
def acting_on_canvas(pipeline: Any, act: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """In the denoiser's place, an operator from canvas to canvas, of as many channels as the denoiser has."""
    module = denoiser(pipeline)
    kind, inner = family(module), Inner(module)

    def forward(*args: Any, **kwargs: Any) -> Transformer2DModelOutput:
        return Transformer2DModelOutput(kind.output(act(kind.canvas(inner.arguments(args, kwargs)))))

    with replace_forward(module, forward):
        yield


@every_class
def test_one_window_is_the_stock_pipeline_bit_for_bit(case: Case) -> None:
    pipeline = case.build()
    stock = case.latents(pipeline, 24, 16)
    with tile_denoiser(pipeline, tile=24, overlap=8, batch=4):
        assert torch.equal(case.latents(pipeline, 24, 16), stock)
    assert not any("forward" in vars(module) for module in denoiser(pipeline).modules())


@every_class
def test_local_operator_is_the_same_in_windows(case: Case) -> None:
    pipeline = case.build()
    cell = family(denoiser(pipeline)).latents_per_cell
    results = getattr(denoiser(pipeline).config, "out_channels", None)

    def blur(canvas: torch.Tensor) -> torch.Tensor:
        kernel = torch.randn(results or canvas.shape[1], canvas.shape[1], 3, 3, generator=seeded()) / 6
        return nn.functional.conv2d(canvas, kernel, padding=1).tanh()

    with acting_on_canvas(pipeline, blur):
        whole = case.latents(pipeline, 56, 40)
        with tile_denoiser(pipeline, tile=24 * cell, overlap=8 * cell, batch=3):
            assert (case.latents(pipeline, 56, 40) - whole).abs().max() < 1e-5


@every_class
def test_windows_together_are_those_one_by_one(case: Case) -> None:
    pipeline = case.build()
    results = []
    for batch in (1, 8):
        with tile_denoiser(pipeline, tile=24, overlap=8, batch=batch):
            results.append(case.latents(pipeline, 40, 32))
    assert (results[0] - results[1]).abs().max() < 1e-4
    assert not torch.allclose(results[0], case.latents(pipeline, 40, 32), atol=1e-3)


def biased(canvas: torch.Tensor) -> torch.Tensor:
    """An adversary: what it predicts depends on the mean of its window, and is darker at the window's edges."""
    latents = canvas[:, :4]
    inside = nn.functional.avg_pool2d(torch.ones_like(latents), 9, 1, 4, count_include_pad=True)
    return 0.5 * latents + 0.5 * latents.mean((-2, -1), keepdim=True) + 0.3 * (1 - inside)


def biased_in_pieces(canvas: torch.Tensor, side: int = 32) -> torch.Tensor:
    """The same with hard cuts."""
    return torch.cat([torch.cat([biased(it) for it in row.split(side, -1)], -1) for row in canvas.split(side, -2)], -2)


@pytest.mark.parametrize("overlap", [8, 16])
def test_bias_of_windows_leaves_no_borders(overlap: int) -> None:
    pipeline = tiny.build_x4()
    x, y = torch.linspace(0, 1, 136)[None, :], torch.linspace(0, 1, 104)[:, None]
    smooth = torch.stack([torch.sin(3 * x) + 0 * y, torch.cos(2 * y) + 0 * x, x * y, x - y])[None]
    more = {"latents": smooth, "num_inference_steps": 8}

    with acting_on_canvas(pipeline, biased):
        whole = CASES["x4"].latents(pipeline, 136, 104, **more)
        with tile_denoiser(pipeline, tile=32, overlap=overlap, batch=8):
            windows = CASES["x4"].latents(pipeline, 136, 104, **more)
    with acting_on_canvas(pipeline, biased_in_pieces):
        pieces = CASES["x4"].latents(pipeline, 136, 104, **more)
    assert largest_step(windows, border=12) < 0.1 * largest_step(pieces, border=12)
    change = (windows - whole)[..., 12:-12, 12:-12]
    starts = range(32 - overlap, 136 - 32, 32 - overlap)
    borders = [border - 12 for start in starts for border in (start, start + overlap) if 12 < border < 124]
    assert seam_score(change, borders) < 1.1


@pytest.mark.parametrize("sampler", ["ddim", "dpm", "euler a", "heun"])
def test_samplers_give_what_they_give_untiled(sampler: str) -> None:
    """A step may call the denoiser twice, and schedulers remember earlier steps: all on the canvas."""
    kinds = {
        "ddim": DDIMScheduler,
        "dpm": DPMSolverMultistepScheduler,
        "euler a": EulerAncestralDiscreteScheduler,
        "heun": HeunDiscreteScheduler,
    }
    pipeline = CASES["sd"].build()
    pipeline.scheduler = kinds[sampler].from_config(pipeline.scheduler.config)
    with acting_on_canvas(pipeline, lambda canvas: 0.3 * canvas.tanh()):
        whole = CASES["sd"].latents(pipeline, 56, 40)
        with tile_denoiser(pipeline, tile=24, overlap=8, batch=8):
            assert (CASES["sd"].latents(pipeline, 56, 40) - whole).abs().max() < 1e-4


@pytest.mark.parametrize("size", [(8, 8), (8, 200), (130, 65), (33, 47)], ids=str)
def test_canvas_of_any_size_is_denoised_and_always_to_the_same(size: tuple[int, int]) -> None:
    pipeline = CASES["sdxl"].build()
    results = []
    for _ in range(2):
        with tile_denoiser(pipeline, tile=32, overlap=8, batch=4):
            results.append(CASES["sdxl"].latents(pipeline, *size))
    assert results[0].shape == (1, 4, size[1], size[0])
    assert results[0].isfinite().all()
    assert torch.equal(results[0], results[1])


def test_control_sees_the_windows_of_its_picture() -> None:
    case = CASES["sd-control"]
    pipeline = case.build()
    results = []
    for strength in (0.0, 1.0):
        with tile_denoiser(pipeline, tile=24, overlap=8, batch=4):
            results.append(case.latents(pipeline, 40, 32, controlnet_conditioning_scale=strength))
    assert (results[0] - results[1]).abs().max() > 1e-3
    uncontrolled = CASES["sd"].build()
    with tile_denoiser(uncontrolled, tile=24, overlap=8, batch=4):
        assert torch.allclose(CASES["sd"].latents(uncontrolled, 40, 32), results[0], atol=1e-5)


def test_progress_counts_the_windows_of_every_step() -> None:
    pipeline = CASES["sd"].build()
    told = []
    with tile_denoiser(pipeline, tile=24, overlap=8, batch=3, progress=lambda *numbers: told.append(numbers)):
        CASES["sd"].latents(pipeline, 40, 24)
    assert told == [(0, 2, 2), (1, 3, 3)]


def test_progress_that_raises_ends_the_call_and_leaves_the_stock_pipeline() -> None:
    class Cancelled(Exception):
        pass

    def cancel(step: int, done: int, total: int) -> None:
        if step == 1:
            raise Cancelled

    case = CASES["sd-control"]
    pipeline = case.build()
    stock = case.latents(pipeline, 40, 32)
    with pytest.raises(Cancelled), tile_denoiser(pipeline, tile=24, overlap=8, batch=2, progress=cancel):
        case.latents(pipeline, 40, 32)
    assert torch.equal(case.latents(pipeline, 40, 32), stock)


@pytest.mark.parametrize("tile", [24, 64])
def test_prediction_that_is_no_number_is_an_error_with_its_step(tile: int) -> None:
    pipeline = CASES["sd"].build()
    pipeline.unet.conv_out.bias.data[1] = torch.nan
    with (
        pytest.raises(EngineError, match=r"step 1: the denoiser predicts NaN or infinity in fp32\. Set `precision`"),
        tile_denoiser(pipeline, tile=tile, overlap=8, batch=2),
    ):
        CASES["sd"].latents(pipeline, 40, 32)


def limited(pipeline: Any, rows: int) -> None:
    """Lets the UNet run out of memory when it is given more rows at once."""

    def check(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if len(given[0]) > rows:
            raise torch.OutOfMemoryError("tried to allocate too much")

    pipeline.unet.conv_in.register_forward_pre_hook(check)


def test_out_of_memory_takes_fewer_windows_together(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = CASES["sd"].build()
    with tile_denoiser(pipeline, tile=24, overlap=8, batch=8):
        expected = CASES["sd"].latents(pipeline, 40, 32)
    limited(pipeline, rows=4)
    with caplog.at_level(logging.WARNING, "upscaler"), tile_denoiser(pipeline, tile=24, overlap=8, batch=8):
        result = CASES["sd"].latents(pipeline, 40, 32)
    assert (result - expected).abs().max() < 1e-4
    ours = [record.getMessage() for record in caplog.records if record.name == "upscaler"]
    assert ours == ["out of memory on cpu: 2 windows at a time from here on."]


def test_out_of_memory_with_one_window_is_an_error() -> None:
    pipeline = CASES["sd"].build()
    limited(pipeline, rows=1)
    with (
        pytest.raises(OutOfMemory, match="even with one window of 24 at a time"),
        tile_denoiser(pipeline, tile=24, overlap=8, batch=8),
    ):
        CASES["sd"].latents(pipeline, 40, 32)


@pytest.mark.parametrize("name", ["sd-control", "sdxl", "flux"])
def test_offloaded_models_give_the_same(name: str) -> None:
    case = CASES[name]
    pipeline = case.build()
    with tile_denoiser(pipeline, tile=24, overlap=8, batch=4):
        expected = case.latents(pipeline, 40, 32)
    stock = case.latents(pipeline, 40, 32)
    pipeline.enable_model_cpu_offload(device="cpu")
    for _ in range(2):
        with tile_denoiser(pipeline, tile=24, overlap=8, batch=4):
            assert torch.equal(case.latents(pipeline, 40, 32), expected)
    assert torch.equal(case.latents(pipeline, 40, 32), stock)
    pipeline.remove_all_hooks()
    assert torch.equal(case.latents(pipeline, 40, 32), stock)


def test_layers_offloaded_in_groups_give_the_same() -> None:
    case = CASES["sd"]
    pipeline = case.build()
    with tile_denoiser(pipeline, tile=24, overlap=8, batch=4):
        expected = case.latents(pipeline, 40, 32)
    pipeline.enable_group_offload(onload_device=torch.device("cpu"), offload_type="leaf_level")
    with tile_denoiser(pipeline, tile=24, overlap=8, batch=4):
        assert torch.equal(case.latents(pipeline, 40, 32), expected)


def test_denoiser_of_another_kind_is_refused_with_those_that_work() -> None:
    class OddTransformer(nn.Module):
        pass

    with pytest.raises(ModelError, match=r"OddTransformer: this kind of denoiser cannot .* Those that can: UNet2DCond"):
        family(OddTransformer())


def test_pictures_to_refer_to_are_refused() -> None:
    case = CASES["flux2"]
    pipeline = case.build()
    with (
        pytest.raises(ModelError, match="reference pictures cannot be computed in windows"),
        tile_denoiser(pipeline, tile=32, overlap=8, batch=1),
    ):
        case.latents(pipeline, 64, 64, image=[Image.new("RGB", (512, 512))])


def test_guess_mode_is_refused() -> None:
    case = CASES["sd-control"]
    pipeline = case.build()
    with (
        pytest.raises(ModelError, match="guess mode of a ControlNet"),
        tile_denoiser(pipeline, tile=24, overlap=8, batch=1),
    ):
        case.latents(pipeline, 40, 32, guess_mode=True)


def test_overlap_that_leaves_no_way_to_go_is_refused() -> None:
    pipeline = CASES["sd"].build()
    with (
        pytest.raises(PlanError, match=r"windows of 24 are too small for an overlap of 16\. Use 32 or more\."),
        tile_denoiser(pipeline, tile=24, overlap=16, batch=1),
    ):
        CASES["sd"].latents(pipeline, 40, 32)


SIZES = [
    *[("sdxl", size) for size in ((1, 1), (7, 5), (200, 3), (65, 129))],
    *[("sd", size) for size in ((1, 9), (33, 47), (1031, 517))],
]


def picture(width: int, height: int) -> FloatArray:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def padded(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


@pytest.mark.parametrize(("name", "size"), SIZES, ids=str)
def test_picture_of_any_size_is_refined(name: str, size: tuple[int, int]) -> None:
    case = CASES[name]
    pipeline = case.build()
    latents = encode(pipeline.vae, picture(*size), tile=32)
    assert latents.shape == (1, 4, padded(size[1], 8) // 8, padded(size[0], 8) // 8)
    with tile_denoiser(pipeline, tile=64, overlap=16, batch=4):
        refined = case.latents(pipeline, 1, 1, image=latents, guidance_scale=1.0)
    pixels = np.concatenate([band.pixels for band in decode(pipeline.vae, refined, tile=64)])[: size[1], : size[0]]
    assert pixels.shape == (size[1], size[0], 3)
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() < pixels.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (50, 2), (33, 47), (130, 65)], ids=str)
def test_picture_of_any_size_is_enlarged_four_times(size: tuple[int, int]) -> None:
    """The pipeline wants multiples of 4, the UNet windows that begin at multiples of 8."""
    pipeline = CASES["x4"].build()
    right, below = (padded(side, 8) - side for side in size)
    small = np.pad(picture(*size), ((0, below), (0, right), (0, 0)), "symmetric")
    image = torch.from_numpy(small).permute(2, 0, 1)[None]
    with tile_denoiser(pipeline, tile=64, overlap=16, batch=4):
        latents = pipeline(
            "a", image=image, num_inference_steps=2, guidance_scale=1.0, generator=seeded(), output_type="latent"
        ).images
    assert latents.shape == (1, 4, *small.shape[:2])
    rows = sum(len(band.pixels) for band in decode(pipeline.vae, latents, tile=64))
    assert rows == 4 * len(small)
