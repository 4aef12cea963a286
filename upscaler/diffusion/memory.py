"""Fits a diffusion model into an amount of memory: chooses its precision, its place, its windows and tiles.

The activation values that networks hold were counted for real sizes, without computing, for one row of a batch: the
UNets of Stable Diffusion 1.5, SDXL, x4 and x2 (26, 16, 15 and 14 values for each channel of their first block and each
cell of latents); transformers of FLUX.1, FLUX.2 klein, Z-Image, SD3 and Sana (17, 22, 16, 13, 11 for each channel and
token); decoders of VAEs (6, and 6.5 with deep compression, for each channel of their last block and each pixel). The
code rounds the largest of each kind up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final, Literal, TypeAlias

import torch
from diffusers import DiffusionPipeline

from ..device import borrows_memory, free_memory, memory_for_tiles, pick_precision
from ..errors import PlanError
from .load import ModelFiles, read_shapes

Offload: TypeAlias = Literal["none", "model", "group"]
"""The weights that wait in the machine's memory until they are needed: none, those of whole parts, of single layers."""

OFFLOADS: Final[tuple[Offload, ...]] = ("none", "model", "group")
"""In order of decreasing use of the device's memory."""

SLACK = 1.25
"""Allocators round up, and convolutions need room to work in."""

CPU_SLACK = 2.5
"""The slack on a CPU, whose convolutions copy their input into another order: the UNets of Stable Diffusion 1.5 and x4
and the VAE took 1.4 to 2.5 times the memory that was counted."""

GPU_SHARE = 0.9
"""Share of the free memory of a GPU that is used unless told otherwise; slack is counted apart."""

CONTEXT = 600_000_000
"""Bytes that a GPU's driver and libraries take, whatever is computed."""

GUIDED = 2
"""Rows of a batch for each window: one with the text, one without."""

WINDOWS = (1.0, 0.75, 0.5)
"""Sizes of windows that are tried, as shares of the size that the model was trained on."""

MOST_WINDOWS = 16
"""Windows in a batch, beyond which no GPU gains anything."""

VAE_TILES = (512, 384, 256, 192, 128, 96, 64, 48, 32, 24, 16)
"""Sizes of tiles that are tried, in cells of latents a side."""

VAE_HALO = 13
"""Cells that a tile needs around it with the VAE of Stable Diffusion."""

VAE_SAMPLES = 9 * 32**2
"""Cells that a VAE sees at once when it learns the statistics of a canvas, whatever its tiles are."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about a model that decide how much memory it takes."""

    name: str
    parameters: Mapping[str, int]
    """Parameters of each part, by its name."""
    largest: int
    """Parameters of the largest layer."""
    denoiser_numbers: float
    """Activation values that the denoiser holds for a cell of latents and a row of a batch."""
    vae_numbers: float
    """Activation values that the VAE holds for a cell of latents."""
    window: int
    """Cells of latents a side that it was trained on."""
    upcasts: bool
    """Whether its VAE is computed in float32 where float16 is asked for."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The device, precision and sizes with which a model computes."""

    device: torch.device
    dtype: torch.dtype
    offload: Offload
    window: int
    """Cells of latents a side that are denoised at once."""
    batch: int
    """Windows that are denoised as one batch."""
    vae_tile: int
    """Cells of latents a side that the VAE computes at once."""
    budget: int
    """Bytes that all this was made to fit into."""


def read_facts(source: ModelFiles, control: ModelFiles | None = None) -> Facts:
    """Reads the headers and configurations of a pipeline's files, and of its ControlNet's. Raises ModelError for a file
    that is damaged."""
    sizes = _sizes(source) + ([] if control is None else [("controlnet", size) for _, size in _sizes(control)])
    parameters: Counter[str] = Counter()
    for part, size in sizes:
        parameters[part] += size
    vae, unet, transformer = (source.config(part) for part in ("vae", "unet", "transformer"))
    numbers = _unet_numbers(unet) if unet else _transformer_numbers(transformer)
    side = (unet or transformer).get("sample_size") or 128
    blocks = vae.get("block_out_channels") or vae.get("decoder_block_out_channels") or [128] * 4
    return Facts(
        source.name,
        parameters,
        max(size for _, size in sizes),
        numbers * (1 if control is None else 1.5),
        7 * blocks[0] * 4 ** (len(blocks) - 1),
        int(side if isinstance(side, int) else min(side)),
        bool(vae.get("force_upcast")),
    )


def place(facts: Facts, device: torch.device, budget: int | None = None, precision: str = "auto") -> Placement:
    """Chooses what fits: above all whole windows, then all parts on the device, then many windows and large tiles.

    `budget` is in bytes of the device's memory, weights included, by default the free ones. Raises PlanError when
    nothing fits, or for a precision that does not exist.
    """
    if budget is None:
        is_shared = device.type == "cpu" or borrows_memory(device)
        budget = memory_for_tiles(device) if is_shared else int(free_memory(device) * GPU_SHARE)
    dtype = _dtype(device, precision)
    offloads = OFFLOADS[:1] if device.type in ("cpu", "mps") else OFFLOADS
    smallest = Placement(device, dtype, offloads[-1], 0, 1, VAE_TILES[-1], budget)
    for share in WINDOWS:
        window = max(int(facts.window * share) // 8 * 8, 8)
        for offload in offloads:
            placement = replace(smallest, offload=offload, window=window)
            if memory_needed(facts, placement) > budget:
                continue
            batches = range(1, 2 if device.type == "cpu" else MOST_WINDOWS + 1)
            batch = max(count for count in batches if memory_needed(facts, replace(placement, batch=count)) <= budget)
            tile = next(side for side in VAE_TILES if memory_needed(facts, replace(placement, vae_tile=side)) <= budget)
            return replace(placement, batch=batch, vae_tile=tile)
    least = memory_needed(facts, replace(smallest, window=window))
    raise PlanError(
        f"{facts.name}: at least {least / 1e9:.1f} GB are needed on {device}, and {budget / 1e9:.1f} GB may be used. "
        "Allow more `memory`, or choose a smaller model."
    )


def memory_needed(facts: Facts, placement: Placement) -> int:
    """Returns the most bytes of the device's memory that a model in this place takes, for weights and computing."""
    size, on_cpu = placement.dtype.itemsize, placement.device.type == "cpu"
    vae_size = 4 if facts.upcasts and placement.dtype == torch.float16 else size
    cells = placement.batch * GUIDED * placement.window**2
    vae_cells = max((placement.vae_tile + 2 * VAE_HALO) ** 2, VAE_SAMPLES)
    slack = CPU_SLACK if on_cpu else SLACK
    denoising = cells * facts.denoiser_numbers * size * slack
    decoding = vae_cells * facts.vae_numbers * vae_size * slack
    weights = {part: parameters * size for part, parameters in facts.parameters.items()}
    if placement.offload == "model":
        vae = weights.pop("vae", 0)
        denoisers = sum(weights.get(part, 0) for part in ("unet", "transformer", "controlnet"))
        most = max(denoisers + denoising, vae + decoding, *weights.values())
    else:
        is_whole = placement.offload == "none"
        resident = sum(weights.values()) if is_whole else weights.get("vae", 0) + 2 * facts.largest * size
        most = resident + max(denoising, decoding)
    return int(most) + (0 if on_cpu else CONTEXT)


def put_in_place(pipeline: DiffusionPipeline, placement: Placement) -> DiffusionPipeline:
    """Moves a pipeline, loaded in the placement's precision, to its place."""
    if getattr(pipeline, "unet", None) is not None:  # the others are not convolutional
        for part in ("unet", "vae", "controlnet"):
            if getattr(pipeline, part, None) is not None:
                getattr(pipeline, part).to(memory_format=torch.channels_last)
    if placement.offload == "none":
        pipeline.to(placement.device)
    elif placement.offload == "model":
        pipeline.enable_model_cpu_offload(device=placement.device)
    else:
        pipeline.enable_group_offload(
            onload_device=placement.device,
            offload_type="leaf_level",
            use_stream=placement.device.type == "cuda",
            exclude_modules=["vae"],  # it is small, called by its parts, and may be turned into float32
        )
    return pipeline


@contextmanager
def limit_memory(pipeline: DiffusionPipeline, placement: Placement) -> Iterator[None]:
    """Limits this process to the placement's budget of CUDA's memory, beside what others than the pipeline hold of it;
    afterwards it may have everything again."""
    device = placement.device
    if device.type != "cuda":
        yield
        return
    modules = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    weights = (weight for part in modules for weight in (*part.parameters(), *part.buffers()))
    own = sum(weight.nbytes for weight in weights if weight.device == device)
    others = max(torch.cuda.memory_allocated(device) - own, 0)
    total = torch.cuda.mem_get_info(device)[1]
    torch.cuda.set_per_process_memory_fraction(min((placement.budget + others) / total, 1.0), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def _dtype(device: torch.device, precision: str) -> torch.dtype:
    """Returns the precision; "auto" prefers bfloat16 where hardware has it, because nothing overflows its range."""
    if precision != "auto":
        return pick_precision(precision, device, half=True, bfloat16=True)
    dtype = pick_precision("auto", device, half=False, bfloat16=True)
    return torch.float16 if dtype == torch.float32 and device.type != "cpu" else dtype


def _unet_numbers(config: Mapping[str, Any]) -> float:
    """Returns how many activation values a UNet holds for each latent cell; its first block's attention has most."""
    is_attentive = "CrossAttn" in config["down_block_types"][0]
    return float((27 if is_attentive else 17) * config["block_out_channels"][0])


def _transformer_numbers(config: Mapping[str, Any]) -> float:
    """Returns the same for a transformer. Flux packs two by two cells into a token's channels, others into a patch."""
    width = config.get("dim") or config.get("num_attention_heads", 24) * config.get("attention_head_dim", 128)
    packs = "Flux" in config.get("_class_name", "")
    patch = 2 if packs else (config.get("patch_size") or (config.get("all_patch_size") or [2])[0])
    return float(23 * width / patch**2)


def _sizes(source: ModelFiles) -> list[tuple[str, int]]:
    """Returns part and number of parameters of each layer; a pickle, which is not opened, counts as one layer."""
    if source.file is not None:
        parts = {"model": "unet", "first_stage_model": "vae", "vae": "vae"}  # as CompVis and Stability AI name them
        shapes = read_shapes(source.file).items()
        return [(parts.get(name.partition(".")[0], "text_encoder"), math.prod(shape)) for name, shape in shapes]
    assert source.weights is not None
    found = []
    for name in source.weights.weights:
        part, path = PurePosixPath(name).parent.name, source.folder / name
        if path.suffix == ".safetensors":
            found += [(part, math.prod(shape)) for shape in read_shapes(path).values()]
        elif path.suffix == ".bin":
            found.append((part, path.stat().st_size // 2))
    return found
