"""VAEs in tiles against the same at once: exactly, and within measured bounds where tiles have to guess."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.fake_gpu import pretend
from upscaler.arrays import FloatArray
from upscaler.diffusion import vae as tiles_of
from upscaler.diffusion.vae import decode, encode
from upscaler.errors import EngineError, OutOfMemory

from . import tiny
from .seams import seam_score

DIVISIBLE = {
    "factor 8": tiny.kl,
    "factor 4": lambda: tiny.kl(blocks=3),
    "shifted": lambda: tiny.kl(scaling_factor=0.3611, shift_factor=0.1159, quantised=False),
    "flux 2": tiny.kl_flux2,
    "without norms": tiny.taesd,
}

EXACT = 1e-4


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Latents with coarse and fine contents that differ from place to place, so that crops have other statistics."""
    torch.manual_seed(seed)
    result = torch.zeros(1, 4, height, width)
    for cell in (64, 24, 8, 2, 1):
        coarse = torch.randn(1, 4, max(2, height // cell), max(2, width // cell))
        result += nn.functional.interpolate(coarse, (height, width), mode="bicubic") / 8
    return result


def picture(height: int, width: int) -> FloatArray:
    """A gradient with noise: float32, 0..1."""
    grain = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
    return grain * np.float32(0.3) + np.linspace(0, 0.7, width, dtype=np.float32)[None, :, None]


def decoded(vae: Any, latents: torch.Tensor, **arguments: Any) -> FloatArray:
    """All bands, checked to come in order."""
    bands = list(decode(vae, latents, **arguments))
    assert [band.y for band in bands] == np.cumsum([0, *(len(band.pixels) for band in bands[:-1])]).tolist()
    assert all(band.pixels.dtype == np.float32 for band in bands)
    return np.concatenate([band.pixels for band in bands])


@torch.no_grad()
def at_once(vae: Any, latents: torch.Tensor) -> FloatArray:
    """What diffusers decodes, from latents that are scaled as a pipeline's are."""
    factor = getattr(vae.config, "scaling_factor", None) or 1
    pixels = vae.decode(latents / factor + (getattr(vae.config, "shift_factor", None) or 0)).sample
    result: FloatArray = (pixels[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).numpy()
    return result


@torch.no_grad()
def encoded_at_once(vae: Any, pixels: FloatArray) -> torch.Tensor:
    encoded = vae.encode(torch.from_numpy(pixels).permute(2, 0, 1)[None] * 2 - 1)
    latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded[0]
    shift = getattr(vae.config, "shift_factor", None) or 0
    return (latents - shift) * (getattr(vae.config, "scaling_factor", None) or 1)


def largest(difference: Any) -> float:
    return float(abs(difference).max())


@pytest.mark.parametrize("build", DIVISIBLE.values(), ids=DIVISIBLE)
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (33, 20)], ids=str)
def test_one_tile_decodes_and_encodes_like_the_whole_bit_for_bit(build: Any, size: tuple[int, int]) -> None:
    vae = build()
    latents = noise(*size)
    whole = at_once(vae, latents)
    assert np.array_equal(decoded(vae, latents, tile=40), whole)
    assert torch.equal(encode(vae, whole, tile=40), encoded_at_once(vae, whole))


@pytest.mark.parametrize("build", DIVISIBLE.values(), ids=DIVISIBLE)
def test_tiles_with_exact_statistics_decode_like_the_whole(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upscaler.diffusion.session.SAMPLE", 64)  # the only sample is the whole canvas
    vae, latents = build(), noise(33, 42)
    whole = at_once(vae, latents)
    assert largest(decoded(vae, latents, tile=20) - whole) < EXACT


@pytest.mark.parametrize("build", DIVISIBLE.values(), ids=DIVISIBLE)
def test_tiles_with_exact_statistics_encode_like_the_whole(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upscaler.diffusion.session.SAMPLE", 128)
    vae, pixels = build(), picture(33 * 8, 42 * 8)
    whole = encoded_at_once(vae, pixels)
    assert largest(encode(vae, pixels, tile=20) - whole) < EXACT


@pytest.mark.parametrize("build", DIVISIBLE.values(), ids=DIVISIBLE)
def test_tiles_with_pooled_statistics_stay_within_the_measured_bound(build: Any) -> None:
    vae, latents = build(), noise(60, 80)
    whole = at_once(vae, latents)
    assert abs(decoded(vae, latents, tile=30) - whole).mean() < 0.1 * whole.std()
    latents = encoded_at_once(vae, whole)
    assert (encode(vae, whole, tile=30) - latents).abs().mean() < 0.1 * latents.std()


@pytest.mark.parametrize("build", DIVISIBLE.values(), ids=DIVISIBLE)
def test_result_does_not_depend_on_the_tile(build: Any) -> None:
    vae, latents = build(), noise(40, 50)
    one, other = (decoded(vae, latents, tile=tile) for tile in (21, 32))
    assert largest(one - other) < EXACT
    assert largest(encode(vae, one, tile=20) - encode(vae, one, tile=37)) < EXACT


@pytest.mark.parametrize("middle", [128, 32])
def test_tiles_leave_no_seams(middle: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles_of, "MIDDLE", middle)
    vae, scores = tiny.kl(), []
    for seed in range(3):
        latents = noise(50, 50, seed)
        change = torch.from_numpy(decoded(vae, latents, tile=10) - at_once(vae, latents)).permute(2, 0, 1)
        assert change.abs().max() > 1e-3
        scores += [seam_score(it, range(80, 400, 80), phase=8) for it in (change, change.transpose(1, 2))]
    assert sum(scores) / len(scores) < 1.1


def test_middle_in_windows_differs_from_the_whole_by_a_bounded_tone(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, latents = tiny.kl(), noise(44, 60)
    whole = at_once(vae, latents)
    monkeypatch.setattr(tiles_of, "MIDDLE", 32)
    windows = decoded(vae, latents, tile=30)
    assert abs(windows - whole).mean() < 0.2 * whole.std()
    assert largest(windows - decoded(vae, latents, tile=23)) < EXACT


def test_diffusers_own_tiles_differ_several_times_as_much() -> None:
    vae, latents = tiny.kl(), noise(60, 80)
    whole, ours = at_once(vae, latents), decoded(vae, latents, tile=32)
    vae.enable_tiling()
    vae.tile_sample_min_size, vae.tile_latent_min_size = 256, 32
    assert abs(at_once(vae, latents) - whole).mean() > 4 * abs(ours - whole).mean()


def test_rows_are_computed_as_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles_of, "MIDDLE", 32)
    vae, computed = tiny.kl(), []
    for layer in (vae.decoder.mid_block, vae.decoder.conv_out):
        layer.register_forward_hook(lambda layer, given, _: computed.append((layer, len(given[0]))))
    bands = decode(vae, noise(200, 30), tile=30)
    assert next(bands).pixels.shape == (240, 240, 3)
    alone = [layer for layer, samples in computed if samples == 1]
    assert alone.count(vae.decoder.conv_out) == 1  # of 7 tiles
    assert alone.count(vae.decoder.mid_block) == 2  # of 8 windows: what the tile and its halo need
    bands.close()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_picture_in_a_mapped_file_is_encoded_like_the_same_numbers(dtype: Any, tmp_path: Path) -> None:
    vae = tiny.kl()
    mapped = np.memmap(tmp_path / "picture", dtype, "w+", shape=(83, 130, 3))
    mapped[:] = picture(83, 130) * np.iinfo(dtype).max
    numbers = mapped.astype(np.float32) / np.float32(np.iinfo(dtype).max)
    latents = encode(vae, mapped, tile=12)
    assert latents.shape == (1, 4, 11, 17)
    assert torch.equal(latents, encode(vae, numbers, tile=12))


def test_sides_that_the_vae_cannot_reduce_are_extended_by_reflection() -> None:
    vae, pixels = tiny.kl(), picture(13, 9)
    extended = np.pad(pixels, ((0, 3), (0, 7), (0, 0)), "symmetric")
    assert torch.equal(encode(vae, pixels, tile=8), encode(vae, extended, tile=8))


def overflowing() -> Any:
    """A VAE that computes numbers too large for half precision, and makes small ones of them again."""
    vae = tiny.kl()
    vae.decoder.conv_in.weight.data *= 1e5
    return vae.half()


@pytest.mark.parametrize("tile", [16, 64])
def test_what_overflows_in_half_precision_is_decoded_in_float32(tile: int, caplog: pytest.LogCaptureFixture) -> None:
    latents = noise(30, 40)
    vae = overflowing()
    with caplog.at_level(logging.WARNING, "upscaler"):
        pixels = decoded(vae, latents, tile=tile)
    assert caplog.messages == ["the VAE gives NaN or infinity in fp16. It is computed again in fp32."]
    assert largest(pixels - decoded(vae.float(), latents, tile=tile)) < EXACT


def test_vae_has_its_precision_back_also_when_no_more_bands_are_wanted() -> None:
    vae = overflowing()
    bands = decode(vae, noise(40, 30), tile=16)
    next(bands)
    bands.close()
    assert vae.dtype == torch.float16
    assert not any("forward" in vars(layer) for layer in vae.modules())


def test_numbers_that_are_none_in_float32_either_are_an_error() -> None:
    vae = tiny.kl()
    vae.decoder.conv_out.bias.data[:] = torch.nan
    with pytest.raises(EngineError, match="the VAE gives NaN or infinity, in float32 too"):
        decoded(vae, noise(8, 8), tile=8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_tiles_in_half_precision_are_about_those_in_float32(dtype: torch.dtype) -> None:
    latents = noise(40, 50)
    expected = decoded(tiny.kl(), latents, tile=20)
    assert abs(decoded(nn.Module.to(tiny.kl(), dtype), latents, tile=20) - expected).mean() < 0.02


def limited(layer: nn.Module, cells: int, error: Callable[[], Exception] = torch.OutOfMemoryError) -> None:
    """Lets a layer run out of memory when it is given more cells of a canvas at once."""

    def check(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if given[0].shape[0] * given[0].shape[-1] * given[0].shape[-2] > cells:
            raise error()

    layer.register_forward_pre_hook(check)


def test_out_of_memory_computes_smaller_tiles_and_the_same_pixels() -> None:
    vae, latents = tiny.kl(), noise(60, 100)
    pixels = decoded(vae, latents, tile=90)
    encoded = encode(vae, pixels, tile=90)
    limited(vae.decoder.up_blocks[0], 5200)
    limited(vae.encoder.conv_in, 5200 * 64)
    assert largest(decoded(vae, latents, tile=90) - pixels) < EXACT
    assert largest(encode(vae, pixels, tile=90) - encoded) < EXACT


def test_a_whole_canvas_that_does_not_fit_is_computed_as_if_it_had_been_cut_into_tiles() -> None:
    vae, latents = tiny.kl(), noise(96, 96)
    in_tiles = decoded(vae, latents, tile=60)
    limited(vae.decoder.up_blocks[0], 9000)
    assert largest(decoded(vae, latents, tile=96) - in_tiles) < EXACT


@pytest.mark.parametrize("words", ["allocator", "cublas", "cudnn"])
@pytest.mark.parametrize("share", [0.95, 0.5])
def test_halves_of_a_tile_find_the_memory_of_the_whole_released(words: Any, share: float) -> None:
    vae, latents = tiny.kl(), noise(40, 40)
    with pretend(tf32=False) as gpu:
        vae.to("cuda")
        whole = decoded(vae, latents, tile=40)
        need = gpu.peak
    with pretend(memory=int(share * need), tf32=False) as gpu:
        gpu.words = words
        vae.to("cuda")
        assert abs(decoded(vae, latents, tile=40) - whole).mean() < 0.1 * whole.std()


@pytest.mark.parametrize("tile", [64, 16])
def test_a_device_without_float64_decodes_and_encodes_in_tiles(tile: int) -> None:
    vae, latents = tiny.kl(), noise(40, 40)
    pixels = decoded(vae, latents, tile=tile)
    encoded = encode(vae, pixels, tile=tile)
    with pretend("mps"):
        vae.to("mps")
        assert largest(decoded(vae, latents, tile=tile) - pixels) < EXACT
        assert largest(encode(vae, pixels, tile=tile) - encoded) < EXACT


def test_out_of_memory_on_mps_computes_smaller_tiles() -> None:
    vae, latents = tiny.kl(), noise(60, 100)
    pixels = decoded(vae, latents, tile=90)
    with pretend("mps") as gpu:
        vae.to("mps")
        limited(vae.decoder.up_blocks[0], 5200, gpu.out_of_memory)
        assert largest(decoded(vae, latents, tile=90) - pixels) < EXACT


def test_out_of_memory_with_the_smallest_tile_is_said() -> None:
    vae = tiny.kl()
    limited(vae.decoder.up_blocks[0], 16)
    with pytest.raises(OutOfMemory, match="out of memory on cpu in the VAE, even with small tiles"):
        decoded(vae, noise(60, 70), tile=50)


def test_vae_of_another_kind_is_left_to_diffusers_and_a_warning_says_so(caplog: pytest.LogCaptureFixture) -> None:
    vae, latents = tiny.dc(), noise(20, 30)
    with caplog.at_level(logging.WARNING, "upscaler"):
        pixels = decoded(vae, latents, tile=8)
        assert encode(vae, pixels, tile=8).shape == latents.shape
    assert "AutoencoderDC: this kind of VAE cannot be computed in tiles without seams" in caplog.messages[0]
    assert np.array_equal(pixels, at_once(vae, latents))
    assert not vae.use_tiling


@pytest.mark.parametrize("place", ["model", "leaf_level"])
def test_offloaded_vae_gives_the_same(place: str) -> None:
    pipeline, latents = tiny.build_sd(), noise(30, 40)
    pixels = decoded(pipeline.vae, latents, tile=16)
    encoded = encode(pipeline.vae, pixels, tile=16)
    if place == "model":
        pipeline.enable_model_cpu_offload(device="cpu")
    else:
        pipeline.enable_group_offload(onload_device=torch.device("cpu"), offload_type=place)
    assert largest(decoded(pipeline.vae, latents, tile=16) - pixels) < EXACT
    assert largest(encode(pipeline.vae, pixels, tile=16) - encoded) < EXACT
