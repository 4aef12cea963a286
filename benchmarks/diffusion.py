"""Measures diffusion in tiles: whether tiles show, whether results depend on them, and how fast and large they are.

A picture is drawn anew by image to image: in tiles of pixels that are cut hard or feathered (as Ultimate SD Upscale
does), and in windows of one canvas of latents, which are ours. Latents are decoded in hard tiles, in diffusers' own
tiles, and in ours. Without --model, networks are random: small ones for the seams, and for the speed on a GPU those of
the sizes of SDXL and of the x4 upscaler. Prints tables and writes JSON. See README.md beside this file. (Long, because
it spells out two networks.)
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoPipelineForImage2Image,
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionUpscalePipeline,
    StableDiffusionXLImg2ImgPipeline,
    UNet2DConditionModel,
)

from upscaler.arrays import FloatArray
from upscaler.device import pick_device
from upscaler.diffusion.denoiser import tile_denoiser
from upscaler.diffusion.vae import decode, encode
from upscaler.tiling import Region

ROOT = Path(__file__).resolve().parent.parent
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
STEPS = {"num_inference_steps": 10, "strength": 0.4}
"""Of image to image: four of ten."""
CELL = 8
"""Pixels of a latent."""
SEGMENT = 64
"""Pixels along a border over which steps are averaged, so that tones count and grain does not."""
ROUNDING = 0.1
"""8-bit levels: a difference without seams, whatever its score."""

Report = dict[str, dict[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a folder of a pipeline of SD or SDXL, for the seams")
    parser.add_argument("--device", help="default: the best there is")
    parser.add_argument("--tile", type=int, help="pixels a side of a tile (default: 256, with --model 1024)")
    parser.add_argument("--small", action="store_true", help="small networks for the speed too, as on a CPU")
    parser.add_argument("--sides", nargs="+", type=int, help="pixels of results, for the speed")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 8], help="windows together")
    parser.add_argument("--compile", action="store_true", help="measure compiled networks as well")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "diffusion.json")
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    small = arguments.small or device.type == "cpu"
    tile = arguments.tile or (1024 if arguments.model else 256)
    pipeline = loaded(arguments.model, device) if arguments.model else image_to_image(True, device)
    report = {
        "seams": seams(pipeline, tile),
        "decoding": decoding(pipeline.vae, tile // CELL),
        "speed": speed(device, small, arguments.sides or ([512] if small else [1024, 2048, 4096]), arguments),
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1))


def seams(pipeline: Any, tile: int) -> Report:
    """Of a smooth picture drawn anew: how much tiles show, and what changes when they are a quarter smaller."""
    source = gradient(3 * tile, 4 * tile)
    ways: dict[str, Callable[[Any, FloatArray, int], FloatArray]] = {
        "hard tiles": partial(in_pixel_tiles, overlap=0),
        "feathered tiles": partial(in_pixel_tiles, overlap=tile // 4),
        "windows of one canvas": in_windows,
    }
    print(f"\n{'image to image':28}{'seam score':>12}{'change with the tile':>22}{'seconds':>9}")
    report = {}
    for name, way in ways.items():
        start = time.perf_counter()
        result = way(pipeline, source, tile)
        seconds = time.perf_counter() - start
        step = tile if name == "hard tiles" else tile * 3 // 4
        score = seam_score(result, step)
        change = 255 * float(abs(way(pipeline, source, tile * 3 // 4) - result).mean())
        report[name] = {"seam score": score, "change": change, "seconds": seconds}
        print(f"{name:28}{score:12.2f}{change:22.2f}{seconds:9.1f}")
    return report


def decoding(vae: Any, tile: int) -> Report:
    """Of latents with coarse contents: how far tiles are from the whole, and how much they show in the difference."""
    torch.manual_seed(0)
    latents = torch.zeros(1, vae.config.latent_channels, 2 * tile, 3 * tile)
    for cell in (64, 16, 4, 1):
        coarse = torch.randn(1, latents.shape[1], 2 * tile // cell + 1, 3 * tile // cell + 1)
        latents += torch.nn.functional.interpolate(coarse, latents.shape[-2:], mode="bicubic") / 6
    whole = at_once(vae, latents)
    ways: dict[str, Callable[[], FloatArray]] = {
        "hard tiles": lambda: in_hard_tiles(vae, latents, tile),
        "diffusers' tiles": lambda: in_own_tiles(vae, latents, tile),
        "ours": lambda: joined(decode(vae, latents, tile=tile)),
    }
    print(f"\n{'decoding':28}{'seam score':>12}{'mean error':>12}{'largest':>9}{'seconds':>9}")
    report = {}
    for name, way in ways.items():
        start = time.perf_counter()
        change = way() - whole
        seconds = time.perf_counter() - start
        step = CELL * (tile * 3 // 4 if name == "diffusers' tiles" else tile)
        mean, largest = 255 * float(abs(change).mean()), 255 * float(abs(change).max())
        score = seam_score(change, step) if largest > ROUNDING else 1.0
        report[name] = {"seam score": score, "mean error": mean, "largest": largest, "seconds": seconds}
        print(f"{name:28}{score:12.2f}{mean:12.2f}{largest:9.2f}{seconds:9.1f}")
    return report


def speed(device: torch.device, small: bool, sides: list[int], arguments: argparse.Namespace) -> Report:
    """Of both configurations, with random weights: pictures a minute, and the highest memory of the device."""
    print(f"\n{'speed on ' + str(device):28}{'side':>6}{'together':>10}{'pictures/min':>14}{'GiB':>8}")
    report = {}
    for name, build, factor in (("SDXL, 4 steps", image_to_image, 1), ("x4, 20 steps", enlarging, 4)):
        for compiled in (False, True) if arguments.compile else (False,):
            pipeline = build(small, device)
            if compiled:
                pipeline.unet.compile_repeated_blocks(fullgraph=True)
            for side in sides:
                for batch in arguments.batches:
                    figures = timed(pipeline, side // factor, batch, device)
                    label = f"{name}{', compiled' if compiled else ''}"
                    report[f"{label}, {side}, {batch}"] = figures
                    memory = f"{figures['GiB']:8.2f}" if "GiB" in figures else f"{'-':>8}"
                    print(f"{label:28}{side:6}{batch:10}{figures['pictures/min']:14.2f}{memory}")
    return report


def timed(pipeline: Any, side: int, batch: int, device: torch.device) -> dict[str, float]:
    """A square picture through the pipeline and the VAE, once to warm up and once to be measured."""
    source = gradient(side, side)
    window = pipeline.unet.config.sample_size
    seconds = 0.0
    for _ in range(2):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        start = time.perf_counter()
        with tile_denoiser(pipeline, tile=window, overlap=window // 4, batch=batch):
            if isinstance(pipeline, StableDiffusionUpscalePipeline):
                call = {"image": as_tensor(source), "num_inference_steps": 20}
            else:
                call = STEPS | {"image": encode(pipeline.vae, source, tile=128)}
            latents = pipeline(**call, **texts(pipeline), output_type="latent").images
        for _ in decode(pipeline.vae, latents, tile=128):
            pass
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - start
    if device.type != "cuda":
        return {"pictures/min": 60 / seconds}
    return {"pictures/min": 60 / seconds, "GiB": torch.cuda.max_memory_allocated(device) / 2**30}


def in_windows(pipeline: Any, source: FloatArray, tile: int) -> FloatArray:
    """Ours."""
    cells = tile // CELL
    image = encode(pipeline.vae, source, tile=cells)
    with tile_denoiser(pipeline, tile=cells, overlap=cells // 4, batch=4):
        latents = pipeline(image=image, **STEPS, **texts(pipeline), generator=noise(), output_type="latent").images
    return joined(decode(pipeline.vae, latents, tile=cells))


def in_pixel_tiles(pipeline: Any, source: FloatArray, tile: int, overlap: int) -> FloatArray:
    """Every tile a picture of its own, the edges of overlapping ones faded in and out."""
    total, weights = np.zeros_like(source), np.zeros_like(source[..., :1])
    for region in tiles(source, tile, overlap):
        rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
        image = as_tensor(source[rows, columns])
        call = {"image": image, **STEPS, **texts(pipeline)}
        result = pipeline(**call, generator=noise(), output_type="np").images[0]
        fade = np.outer(ramp(region.height, overlap), ramp(region.width, overlap))[..., None]
        total[rows, columns] += result * fade
        weights[rows, columns] += fade
    return total / weights


def tiles(source: FloatArray, tile: int, overlap: int) -> Iterator[Region]:
    height, width = source.shape[:2]
    for y in range(0, height - overlap, tile - overlap):
        for x in range(0, width - overlap, tile - overlap):
            yield Region(x, y, min(tile, width - x), min(tile, height - y))


def ramp(length: int, overlap: int) -> FloatArray:
    distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(distance / (overlap + 1), 1).astype(np.float32)


def in_hard_tiles(vae: Any, latents: torch.Tensor, tile: int) -> FloatArray:
    rows = [[at_once(vae, part) for part in row.split(tile, -1)] for row in latents.split(tile, -2)]
    return np.concatenate([np.concatenate(row, 1) for row in rows])


def in_own_tiles(vae: Any, latents: torch.Tensor, tile: int) -> FloatArray:
    """Those of diffusers, which overlap by a quarter."""
    vae.enable_tiling()
    vae.tile_latent_min_size, vae.tile_sample_min_size = tile, CELL * tile
    try:
        return at_once(vae, latents)
    finally:
        vae.disable_tiling()


@torch.no_grad()
def at_once(vae: Any, latents: torch.Tensor) -> FloatArray:
    """What the VAE itself decodes: (height, width, 3), 0..1."""
    values = latents / vae.config.scaling_factor + (vae.config.shift_factor or 0)
    pixels = vae.decode(values.to(vae.device, vae.dtype)).sample[0]
    result: FloatArray = (pixels.float() / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return result


def joined(bands: Any) -> FloatArray:
    return np.concatenate([band.pixels for band in bands])


def seam_score(picture: FloatArray, step: int) -> float:
    """The mean step across the borders of tiles, over that across the others of the VAE's phase, in both directions."""
    scores = []
    for across in (picture, picture.transpose(1, 0, 2)):
        steps = np.diff(across[: len(across) // SEGMENT * SEGMENT].astype(np.float64), axis=1)
        steps = abs(steps.reshape(-1, SEGMENT, *steps.shape[1:]).mean(1)).mean((0, 2))
        position = np.arange(1, len(steps) + 1)
        at = (position % step == 0) & (position < len(steps) - CELL)
        scores.append(steps[at].mean() / steps[~at & (position % CELL == 0)].mean())
    return float(np.mean(scores))


def gradient(height: int, width: int) -> FloatArray:
    """A sky: where seams are seen first. Float32, (height, width, 3), 0..1."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([x / width, y / height, (x + y) / (width + height)], -1) * np.float32(0.6) + np.float32(0.2)


def as_tensor(picture: FloatArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]


def noise() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def texts(pipeline: Any) -> dict[str, Any]:
    """An empty prompt; for a pipeline without a text encoder, numbers in its place."""
    if pipeline.text_encoder is not None:
        return {"prompt": ""}
    width, unet = pipeline.unet.config.cross_attention_dim, pipeline.unet
    names = ("prompt_embeds", "negative_prompt_embeds")
    embedded = {name: torch.zeros(1, 77, width, device=unet.device, dtype=unet.dtype) for name in names}
    if isinstance(pipeline, StableDiffusionUpscalePipeline):
        return embedded
    pooled = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
    more = ("pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    return embedded | {name: torch.zeros(1, pooled, device=unet.device, dtype=unet.dtype) for name in more}


def loaded(folder: Path, device: torch.device) -> Any:
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    options = {"dtype": dtype, "use_safetensors": True, "local_files_only": True}
    return on(device, AutoPipelineForImage2Image.from_pretrained(folder, **options))


def image_to_image(small: bool, device: torch.device) -> Any:
    """As SDXL, with random weights."""
    widths = (8, 16, 16) if small else (320, 640, 1280)
    torch.manual_seed(0)
    with device:
        unet = UNet2DConditionModel(
            sample_size=32 if small else 128,
            block_out_channels=widths,
            layers_per_block=2,
            norm_num_groups=4 if small else 32,
            cross_attention_dim=32 if small else 2048,
            attention_head_dim=(2, 4, 4) if small else (5, 10, 20),
            use_linear_projection=True,
            down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 2),
            up_block_types=(*["CrossAttnUpBlock2D"] * 2, "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 2 if small else 10),
            addition_embed_type="text_time",
            addition_time_embed_dim=8 if small else 256,
            projection_class_embeddings_input_dim=80 if small else 2816,
        )
        vae = autoencoder((8,) * 4 if small else (128, 256, 512, 512), 0.13025, small)
    scheduler = EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1)
    parts = {"text_encoder": None, "text_encoder_2": None, "tokenizer": None, "tokenizer_2": None}
    return on(
        device,
        StableDiffusionXLImg2ImgPipeline(vae=vae, unet=unet, scheduler=scheduler, add_watermarker=False, **parts),
    )


def enlarging(small: bool, device: torch.device) -> Any:
    """As the x4 upscaler of Stable Diffusion, with random weights."""
    torch.manual_seed(0)
    with device:
        unet = UNet2DConditionModel(
            sample_size=32 if small else 128,
            in_channels=7,
            out_channels=4,
            block_out_channels=(8, 16, 16, 16) if small else (256, 512, 512, 1024),
            layers_per_block=2,
            norm_num_groups=4 if small else 32,
            cross_attention_dim=32 if small else 1024,
            attention_head_dim=4 if small else 8,
            use_linear_projection=True,
            down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
            up_block_types=(*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
            only_cross_attention=(True, True, True, False),
            num_class_embeds=1000,
        )
        vae = autoencoder((8,) * 3 if small else (128, 256, 512), 0.08333, small)
    betas = {"beta_schedule": "scaled_linear", "beta_start": 0.0001, "beta_end": 0.02}
    return on(
        device,
        StableDiffusionUpscalePipeline(
            vae=vae,
            unet=unet,
            text_encoder=None,
            tokenizer=None,
            low_res_scheduler=DDPMScheduler(**betas),
            scheduler=DDIMScheduler(**betas, clip_sample=False, prediction_type="v_prediction"),
        ),
    )


def autoencoder(widths: tuple[int, ...], scale: float, small: bool) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=widths,
        norm_num_groups=4 if small else 32,
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        latent_channels=4,
        scaling_factor=scale,
    )


def on(device: torch.device, pipeline: Any) -> Any:
    """The pipeline where it computes: in bfloat16 on a GPU, because random weights overflow in float16."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device, torch.float32 if device.type == "cpu" else torch.bfloat16)


if __name__ == "__main__":
    main()
