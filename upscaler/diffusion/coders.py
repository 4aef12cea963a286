"""The encoders and decoders of VAEs: parts that see a limited distance, and one in the middle that sees everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2, AutoencoderTiny
from diffusers.models.autoencoders.vae import Decoder, Encoder
from diffusers.models.unets.unet_2d_blocks import DownEncoderBlock2D, UpDecoderBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn


@dataclass(frozen=True, slots=True)
class Part:
    """Layers in a row, from one tensor (samples, channels, height, width) to another."""

    run: Callable[[torch.Tensor], torch.Tensor]
    halo: int
    """Cells of the input at each side that the result of the cells within depends on; a multiple of `down`."""
    norms: tuple[nn.GroupNorm, ...] = ()
    up: int = 1
    """Cells of the result for each of the input, along a side."""
    down: int = 1
    """Cells of the input for each of the result, along a side."""


@dataclass(frozen=True, slots=True)
class Coder:
    """An encoder or a decoder: its head, its middle, its tail."""

    head: Part
    middle: Part | None = None
    """The part with attention from every cell to every other, which is right for a whole canvas only."""
    tail: Part | None = None


def is_divisible(vae: Any) -> bool:
    """Whether `decoder` and `encoder` know how the VAE is built: AutoencoderKL, Flux.2's, and AutoencoderTiny."""
    if isinstance(vae, AutoencoderTiny):
        return True
    return (
        isinstance(vae, AutoencoderKL | AutoencoderKLFlux2)
        and type(vae.encoder) is Encoder
        and type(vae.decoder) is Decoder
        and all(type(block) is DownEncoderBlock2D for block in vae.encoder.down_blocks)
        and all(type(block) is UpDecoderBlock2D for block in vae.decoder.up_blocks)
    )


def decoder(vae: Any) -> Coder:
    """From latents as the VAE knows them, unscaled, to pixels in -1..1."""
    if isinstance(vae, AutoencoderTiny):
        layers = [vae.decoder.layers]
        return Coder(Part(vae.decoder, _reach(layers), up=_scale_factor(layers)))
    inner = vae.decoder
    first = [*_as_list(vae.post_quant_conv), inner.conv_in]
    last = [*inner.up_blocks, inner.conv_norm_out, inner.conv_act, inner.conv_out]
    return Coder(
        Part(_chain(first), _reach(first)),
        Part(inner.mid_block, 0, _norms([inner.mid_block])),
        Part(_chain(last), _reach(last), _norms(last), up=_scale_factor(last)),
    )


def encoder(vae: Any) -> Coder:
    """From pixels in -1..1 to latents as the VAE knows them, unscaled: the mode of their distribution."""
    if isinstance(vae, AutoencoderTiny):
        layers = [vae.encoder.layers]
        return Coder(Part(vae.encoder, _reach(layers, _scale_factor(layers)), down=_scale_factor(layers)))
    inner = vae.encoder
    first = [inner.conv_in, *inner.down_blocks]
    last = [inner.conv_norm_out, inner.conv_act, inner.conv_out, *_as_list(vae.quant_conv)]
    moments = _chain(last)
    return Coder(
        Part(_chain(first), _reach(first, _scale_factor(first)), _norms(first), down=_scale_factor(first)),
        Part(inner.mid_block, 0, _norms([inner.mid_block])),
        Part(lambda features: moments(features).chunk(2, 1)[0], _reach(last), _norms(last)),
    )


def _as_list(module: nn.Module | None) -> list[nn.Module]:
    return [] if module is None else [module]


def _chain(modules: Sequence[nn.Module]) -> Callable[[torch.Tensor], torch.Tensor]:
    def run(values: torch.Tensor) -> torch.Tensor:
        for module in modules:
            values = module(values)
        return values

    return run


def _layers(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """All modules within, in the order in which they are computed."""
    return [layer for module in modules for layer in module.modules()]


def _norms(modules: Iterable[nn.Module]) -> tuple[nn.GroupNorm, ...]:
    return tuple(layer for layer in _layers(modules) if isinstance(layer, nn.GroupNorm))


def _reach(modules: Iterable[nn.Module], multiple: int = 1) -> int:
    """Cells of the input beyond a cell of the result, at each side, that it is computed from."""
    cells = 0
    for layer in reversed(_layers(modules)):
        if isinstance(layer, nn.Conv2d):
            kernel, padding = layer.kernel_size[0], int(layer.padding[0])
            cells = cells * layer.stride[0] + max(padding, kernel - 1 - padding)
        elif isinstance(layer, nn.Upsample | Upsample2D):
            cells = -(-cells // 2)
    return -(-cells // multiple) * multiple


def _scale_factor(modules: Iterable[nn.Module]) -> int:
    """The factor by which the layers enlarge a side, or reduce it."""
    changes = [
        layer.stride[0] if isinstance(layer, nn.Conv2d) else 2
        for layer in _layers(modules)
        if isinstance(layer, nn.Conv2d | nn.Upsample | Upsample2D)
    ]
    return int(torch.tensor(changes).prod())
