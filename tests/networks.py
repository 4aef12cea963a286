"""Tiny real networks, made by the tests and loaded through spandrel like anybody's."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact


def tiny_compact(folder: Path, scale: int = 2, channels: int = 3, convolutions: int = 2, seed: int = 0) -> Path:
    """A Compact network (Real-ESRGAN's SRVGGNetCompact) of random weights small enough that its result resembles its
    source: mostly the enlargement that this architecture adds at its end."""
    torch.manual_seed(seed)
    network = SRVGGNetCompact(
        num_in_ch=channels, num_out_ch=channels, num_feat=8, num_conv=convolutions, upscale=scale, act_type="prelu"
    )
    state = {name: value * (0.2 if name.startswith("body.0") else 1) for name, value in network.state_dict().items()}
    file = folder / f"compact-{scale}x-{channels}c-{seed}.safetensors"
    save_file(state, file)
    return file


def tiny_swinir(folder: Path) -> Path:
    """A SwinIR of random weights: works in windows, needs a minimum size, and advises against tiles."""
    from spandrel.architectures.SwinIR.__arch.SwinIR import SwinIR

    torch.manual_seed(0)
    network = SwinIR(
        img_size=16, embed_dim=12, depths=[2], num_heads=[2], window_size=8, upscale=2, upsampler="pixelshuffledirect"
    )
    file = folder / "swinir.safetensors"
    save_file({name: value.contiguous().clone() for name, value in network.state_dict().items()}, file)
    return file


def blur(radius: int) -> torch.nn.Module:
    """Means over squares, whose reach is known: at most `radius`."""
    side = 2 * radius + 1
    network = torch.nn.Conv2d(3, 3, side, padding=radius, groups=3, bias=False)
    torch.nn.init.constant_(network.weight, 1 / side**2)
    return network.requires_grad_(False)
