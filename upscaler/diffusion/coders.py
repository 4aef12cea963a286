"""The encoders and decoders of VAEs: parts that see a limited distance, and one in the middle that sees everything."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2, AutoencoderTiny
from diffusers.models.autoencoders.vae import Decoder, Encoder
from diffusers.models.unets.unet_2d_blocks import DownEncoderBlock2D, UpDecoderBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn


@dataclass(frozen=True, slots=True)
class CoderPart:
    """Layers in a row, from one tensor (samples, channels, height, width) to another."""

    run: Callable[[torch.Tensor], torch.Tensor]
    halo: int
    """Extra input cells that a tile needs on each side; a multiple of `down`."""
    norms: tuple[nn.GroupNorm, ...]
    up: int
    """Cells of the result for each of the input, along a side."""
    down: int
    """Cells of the input for each of the result, along a side."""


@dataclass(frozen=True, slots=True)
class Coder:
    """An encoder or a decoder: its head, its middle, its tail."""

    head: CoderPart
    middle: CoderPart | None = None
    """The part in which every cell attends to every other: it is exact on a whole canvas only, whatever its halo."""
    tail: CoderPart | None = None


def is_divisible(vae: Any) -> bool:
    """Returns whether `decoder` and `encoder` know how the VAE is built: AutoencoderKL, Flux.2's, AutoencoderTiny."""
    return isinstance(vae, AutoencoderTiny) or (
        isinstance(vae, AutoencoderKL | AutoencoderKLFlux2)
        and type(vae.encoder) is Encoder
        and type(vae.decoder) is Decoder
        and all(type(block) is DownEncoderBlock2D for block in vae.encoder.down_blocks)
        and all(type(block) is UpDecoderBlock2D for block in vae.decoder.up_blocks)
    )


def decoder(vae: Any) -> Coder:
    """Returns the layers that turn the VAE's own latents, unscaled, into pixels in -1..1."""
    if isinstance(vae, AutoencoderTiny):
        return Coder(_part(vae.decoder))
    inner = vae.decoder
    return Coder(
        _part(vae.post_quant_conv, inner.conv_in),
        _part(inner.mid_block),
        _part(*inner.up_blocks, inner.conv_norm_out, inner.conv_act, inner.conv_out),
    )


def encoder(vae: Any) -> Coder:
    """Returns the layers that turn pixels in -1..1 into the VAE's own latents, unscaled: the mode of a distribution."""
    if isinstance(vae, AutoencoderTiny):
        return Coder(_part(vae.encoder))
    inner = vae.encoder
    moments = _part(inner.conv_norm_out, inner.conv_act, inner.conv_out, vae.quant_conv)
    mode = replace(moments, run=lambda features: moments.run(features).chunk(2, 1)[0])
    return Coder(_part(inner.conv_in, *inner.down_blocks), _part(inner.mid_block), mode)


def _part(*modules: nn.Module | None) -> CoderPart:
    """Joins modules in a row, without those that a VAE does not have."""
    row = nn.Sequential(*(module for module in modules if module is not None))
    layers = list(row.modules())  # in the order in which they are computed
    down = math.prod(layer.stride[0] for layer in layers if isinstance(layer, nn.Conv2d))
    up = 2 ** sum(isinstance(layer, nn.Upsample | Upsample2D) for layer in layers)
    reach = 0
    for layer in reversed(layers):
        if isinstance(layer, nn.Conv2d):
            kernel, padding = layer.kernel_size[0], int(layer.padding[0])
            reach = reach * layer.stride[0] + max(padding, kernel - 1 - padding)
        elif isinstance(layer, nn.Upsample | Upsample2D):
            reach = -(-reach // 2)
    norms = tuple(layer for layer in layers if isinstance(layer, nn.GroupNorm))
    return CoderPart(row, -(-reach // down) * down, norms, up, down)
