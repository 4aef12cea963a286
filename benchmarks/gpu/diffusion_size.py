"""Diffusion networks of real size with random weights: time, memory, and what compiling brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusion import enlarging, image_to_image

from upscaler.diffusion.memory import SLACK, VAE_HALO, VAE_SAMPLES, _unet_numbers
from upscaler.diffusion.vae import decode

from .run import Run

GIB = 2**30


def check_diffusion(run: Run) -> None:
    """UNets of the x4 upscaler and SDXL by the number of windows, then SDXL's VAE; memory beside what is reckoned."""
    device = torch.device(run.device)
    for name, build in (("x4", enlarging), ("SDXL", image_to_image)):
        pipeline = build(run.dry, device)
        unet = pipeline.unet.eval().to(memory_format=torch.channels_last)
        run.say(f"{name}: millions of parameters", sum(value.numel() for value in unet.parameters()) / 1e6)
        side = unet.config.sample_size
        reckoned = side**2 * _unet_numbers(unet.config) * unet.dtype.itemsize * SLACK / GIB
        for windows in (1,) if run.dry else (1, 4, 16):
            step = _step(unet, 2 * windows)
            with torch.inference_mode():
                used, seconds = run.peak(step) / GIB, run.seconds(step, 3, 1)
            note = f"{used:.2f} GiB used, {2 * windows * reckoned:.2f} reckoned"
            right = used <= 2 * windows * reckoned
            run.say(f"{name}: ms a window, {windows} together", 1e3 * seconds / windows, note, right or run.dry)
        unet.compile_repeated_blocks(fullgraph=True, backend="eager" if run.dry else "inductor")
        with torch.inference_mode():
            first, seconds = run.wall(step), run.seconds(step, 3, 1)
        run.say(f"{name}: ms a window, compiled, {windows} together", 1e3 * seconds / windows, f"after {first:.0f} s")
    _check_vae(run, pipeline.vae.eval())


def _check_vae(run: Run, vae: Any) -> None:
    blocks = vae.config.block_out_channels
    tile = 16 if run.dry else 128
    cells = max((tile + 2 * VAE_HALO) ** 2, VAE_SAMPLES)
    reckoned = cells * 7 * blocks[0] * 4 ** (len(blocks) - 1) * vae.dtype.itemsize * SLACK / GIB
    for side in (16,) if run.dry else (128, 512):
        latents = torch.randn(1, 4, side, side)

        def work(latents: torch.Tensor = latents) -> None:
            for _ in decode(vae, latents, tile=tile):
                pass

        used = run.peak(work) / GIB
        note = f"{used:.2f} GiB used, {reckoned:.2f} reckoned"
        run.say(f"VAE of SDXL, {side}x{side} latents: seconds", run.wall(work), note, used <= reckoned or run.dry)


def _step(unet: Any, rows: int) -> Callable[[], object]:
    """Returns a function that computes one step of so many rows of a batch."""
    config = unet.config
    place = {"device": unet.device, "dtype": unet.dtype}
    latents = torch.randn(rows, config.in_channels, config.sample_size, config.sample_size, **place)
    words = torch.randn(rows, 77, config.cross_attention_dim, **place)
    more: dict[str, Any] = {"class_labels": torch.full((rows,), 20, device=unet.device)}
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        sizes = {"text_embeds": torch.randn(rows, pooled, **place), "time_ids": torch.ones(rows, 6, **place)}
        more = {"added_cond_kwargs": sizes}
    return lambda: unet(latents, 10, words, **more)
