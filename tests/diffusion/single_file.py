"""A pipeline in one file, as Stable Diffusion was published: with the names of CompVis, not those of diffusers."""

from __future__ import annotations

import re
from pathlib import Path

from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor

UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}

VAE = {
    r"mid_block\.attentions\.0\.group_norm": "mid.attn_1.norm",
    r"mid_block\.attentions\.0\.to_out\.0": "mid.attn_1.proj_out",
    r"mid_block\.attentions\.0\.to_": "mid.attn_1.",
    r"mid_block\.resnets\.0": "mid.block_1",
    r"mid_block\.resnets\.1": "mid.block_2",
    r"conv_shortcut": "nin_shortcut",
    r"conv_norm_out": "norm_out",
    r"samplers\.0": "sample",
    r"\.resnets\.": ".block.",
}


def save_single_file(pipeline: StableDiffusionPipeline, path: Path) -> None:
    """Writes UNet, VAE and text encoder of a pipeline like Stable Diffusion 1.5 as safetensors."""
    weights = {f"model.diffusion_model.{_unet(name, pipeline)}": value for name, value in _state(pipeline.unet)}
    for name, value in _state(pipeline.vae):
        is_linear = "mid_block.attentions" in name and value.dim() == 2
        weights[f"first_stage_model.{_vae(name)}"] = value[:, :, None, None] if is_linear else value
    for name, value in _state(pipeline.text_encoder):
        weights[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = value
    save_file({name: value.contiguous() for name, value in weights.items()}, path)


def _state(network: object) -> list[tuple[str, Tensor]]:
    return list(network.state_dict().items())  # type: ignore[attr-defined]


def _unet(name: str, pipeline: StableDiffusionPipeline) -> str:
    """Blocks are numbered through; between those of two sizes there is one that only changes the size."""
    each = pipeline.unet.config.layers_per_block + 1
    place = re.match(r"(down|up|mid)_blocks?\.(?:(\d)\.)?(resnets|attentions|\w+samplers)\.(\d)\.", name)
    if place is None:
        first = next(old for old in UNET if name.startswith(old))
        return UNET[first] + name.removeprefix(first)
    where, what, block, number = place[1], place[3], int(place[2] or 0), int(place[4])
    rest = name[place.end() :]
    if what == "resnets":
        first, _, last = rest.partition(".")
        rest = f"{RESNET[first]}.{last}"
    inside = int(what == "attentions")
    if where == "mid":
        return f"middle_block.{1 if inside else 2 * number}.{rest}"
    if what == "downsamplers":
        return f"input_blocks.{(block + 1) * each}.0.op.{rest.removeprefix('conv.')}"
    if what == "upsamplers":
        return f"output_blocks.{(block + 1) * each - 1}.{1 if block == 0 else 2}.{rest}"
    return (
        f"{'input' if where == 'down' else 'output'}_blocks.{block * each + number + (where == 'down')}.{inside}.{rest}"
    )


def _vae(name: str) -> str:
    name = re.sub(r"down_blocks\.(\d)", r"down.\1", name)
    name = re.sub(r"up_blocks\.(\d)", lambda found: f"up.{3 - int(found[1])}", name)
    for old, new in VAE.items():
        name = re.sub(old, new, name)
    return name
