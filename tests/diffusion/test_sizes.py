"""Pictures of all sizes, through tiled pipelines from pixels to pixels."""

import numpy as np
import pytest
import torch

from upscaler.arrays import FloatArray
from upscaler.diffusion.denoiser import tile_denoiser
from upscaler.diffusion.vae import decode, encode

from .cases import CASES, seeded

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
