"""Every architecture that spandrel knows, as a tiny network of random weights, and what is to be expected of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import spandrel
import torch
from safetensors.torch import save_file
from spandrel.architectures.ATD import ATD
from spandrel.architectures.AuraSR import AuraSR
from spandrel.architectures.Compact import Compact
from spandrel.architectures.CRAFT import CRAFT
from spandrel.architectures.DAT import DAT
from spandrel.architectures.DCTLSA import DCTLSA
from spandrel.architectures.DITN import DITN
from spandrel.architectures.DnCNN import DnCNN
from spandrel.architectures.DRCT import DRCT
from spandrel.architectures.DRUNet import DRUNet
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.FBCNN import FBCNN
from spandrel.architectures.FDAT import FDAT
from spandrel.architectures.FFTformer import FFTformer
from spandrel.architectures.GFPGAN import GFPGAN
from spandrel.architectures.GRL import GRL
from spandrel.architectures.HAT import HAT
from spandrel.architectures.HVICIDNet import HVICIDNet
from spandrel.architectures.IPT import IPT
from spandrel.architectures.KBNet import KBNet_l, KBNet_s
from spandrel.architectures.LaMa import LaMa
from spandrel.architectures.MixDehazeNet import MixDehazeNet
from spandrel.architectures.MMRealSR import MMRealSR
from spandrel.architectures.MoESR import MoESR
from spandrel.architectures.MoSR import MoSR
from spandrel.architectures.NAFNet import NAFNet
from spandrel.architectures.OmniSR import OmniSR
from spandrel.architectures.PLKSR import PLKSR, RealPLKSR
from spandrel.architectures.RCAN import RCAN
from spandrel.architectures.RealCUGAN import UpCunet2x, UpCunet2x_fast, UpCunet3x, UpCunet4x
from spandrel.architectures.RestoreFormer import RestoreFormer
from spandrel.architectures.RetinexFormer import RetinexFormer
from spandrel.architectures.RGT import RGT
from spandrel.architectures.SAFMN import SAFMN
from spandrel.architectures.SAFMNBCIE import SAFMNBCIE
from spandrel.architectures.SCUNet import SCUNet
from spandrel.architectures.SeemoRe import SeemoRe
from spandrel.architectures.SPAN import SPAN
from spandrel.architectures.SwiftSRGAN import SwiftSRGAN
from spandrel.architectures.Swin2SR import Swin2SR
from spandrel.architectures.SwinIR import SwinIR
from spandrel.architectures.Uformer import Uformer

from tests.pictures import sample
from upscaler.arrays import FloatArray

GREY = 0.45
"""Mean of what the networks give: about the one that many of them subtract and add again."""

SPREAD = 0.05
"""Standard deviation of what they add to it, or to their source: enough to see a wrong pixel, too little to be odd."""


@dataclass(frozen=True, slots=True)
class Row:
    """One network to be made, and what must hold of it."""

    architecture: str
    """As spandrel calls it."""
    build: Callable[[], torch.nn.Module]
    ends: tuple[str, ...]
    """The convolutions whose sum is the picture, or what is added to the source."""
    scale: int = 1
    channels: int = 3
    variant: str = ""
    """What sets it apart from other rows of its architecture."""
    middle: float = 0.0
    """Mean of the last of `ends`: 0 if the network adds it to the source or to a mean colour of its own."""
    levels: float = 1.0
    """In terms of which the network counts its pixels: 255 or 1."""
    apart: int = 1
    """8-bit levels by which tiles may differ from the whole: more than 1 where something looks at all of the tile."""
    uses_grid_sample: bool = False
    """Pixels by their coordinates, for which half precision has too few digits, whatever spandrel says."""
    heavy: bool = False
    """In the quick tests it is only loaded, and makes one picture."""
    slow: str = ""
    """Why it is left out of the quick tests altogether: another row stands for its architecture."""

    @property
    def name(self) -> str:
        return f"{self.architecture}-{self.variant}" if self.variant else self.architecture


def picture(width: int, height: int) -> FloatArray:
    """Part of a photograph, of little contrast: float32 RGB, (height, width, 3)."""
    photo = sample("coffee.jpg")
    part = np.tile(photo, (1, -(-width // photo.shape[1]), 1))[:height, :width]
    return (GREY + SPREAD * (part - part.mean(axis=(0, 1))) / part.std()).astype(np.float32)


def weights(row: Row) -> dict[str, torch.Tensor]:
    """Of random numbers, always the same, such that the result is not far from its source."""
    torch.manual_seed(0)
    module = row.build()
    _enliven(module)
    network = spandrel.ModelLoader().load_from_state_dict(module.state_dict()).eval()
    _calm(network, row)
    return {name: value.clone() for name, value in network.model.state_dict().items()}


def checkpoint(row: Row, folder: Path) -> Path:
    """Its weights in a file."""
    file = folder / f"{row.name}.safetensors"
    save_file({name: value.contiguous() for name, value in weights(row).items()}, file)
    return file


def _enliven(module: torch.nn.Module) -> None:
    """As much attention as trained weights have: most transformers begin with next to none."""
    for part in module.modules():
        if isinstance(part, torch.nn.Linear):
            torch.nn.init.normal_(part.weight, std=0.6 * part.in_features**-0.5)
    for name, value in module.named_parameters():
        if name.endswith(("bias_table", "rpe_biases", "relative_position_params", "rel_pos_bias.weight")):
            torch.nn.init.normal_(value)


@torch.no_grad()
def _calm(network: spandrel.ImageModelDescriptor, row: Row) -> None:
    """Scales the convolutions at the end so that they give the middle and the spread that are wanted."""
    seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    layers = {name: network.model.get_submodule(name) for name in row.ends}
    for name, layer in layers.items():
        layer.register_forward_hook(
            lambda _, given, result, name=name: seen.update({name: (given[0].clone(), result.clone())})
        )
    tile = torch.from_numpy(picture(96, 64)).permute(2, 0, 1)[None, : row.channels]
    network(tile.clone())
    for name, layer in layers.items():
        given, result = seen[name]
        middle = row.middle if name == row.ends[-1] else 0.0
        mean = result.mean(dim=(0, 2, 3), keepdim=True)
        gain = SPREAD * row.levels / (result - mean).std()
        layer.weight.mul_(gain)
        if layer.bias is not None:
            layer.bias.copy_(middle + gain * (layer.bias - mean.flatten()))
        elif middle:
            mean = given.mean(dim=(0, 2, 3))
            centre = layer.weight[:, :, layer.weight.shape[2] // 2, layer.weight.shape[3] // 2]
            centre += middle * mean / mean.square().sum()


def _aurasr() -> torch.nn.Module:
    network = AuraSR(
        dim=8,
        image_size=None,
        input_image_size=None,
        style_network={"dim_in": 4, "dim_out": 16, "depth": 1},
        up_dim_mults=(1, 1, 1, 1, 1),
        down_dim_mults=(1, 1, 1),
        full_attn=(False, False, False, False, True),
        self_attn_dim_head=4,
        attn_depths=(1, 1, 1, 1, 1),
        mid_attn_depth=1,
        num_conv_kernels=2,
        skip_connect_scale=0.4,
    )
    with torch.no_grad():
        network.style_to_conv_modulations.weight *= 0.02  # or its results are another picture for each random style
    return network


ROWS = (
    Row(
        "ATD",
        lambda: ATD(
            embed_dim=12,
            depths=[2],
            num_heads=[2],
            num_tokens=8,
            reducted_dim=2,
            upscale=2,
            upsampler="pixelshuffledirect",
        ),
        ("upsample.0",),
        2,
        apart=6,  # its tokens are sorted across the whole tile
        heavy=True,
    ),
    Row(
        "AuraSR",
        _aurasr,
        ("final_to_rgb",),
        4,
        middle=GREY,
        apart=4,  # attention over the whole tile
        heavy=True,
    ),
    Row(
        "CRAFT",
        lambda: CRAFT(embed_dim=32, depths=[1], num_heads=[2], upscale=2),
        ("upsample.0",),
        2,
        apart=4,
        heavy=True,
    ),
    Row("Compact", lambda: Compact(num_feat=8, num_conv=2, upscale=2), ("body.6",), 2),
    Row(
        "Compact",
        lambda: Compact(num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=2, upscale=4),
        ("body.6",),
        4,
        1,
        variant="grey",
    ),
    Row(
        "DAT",
        lambda: DAT(
            img_size=64,
            embed_dim=32,
            split_size=[8, 32],
            depth=[2],
            num_heads=[2],
            upscale=2,
            upsampler="pixelshuffledirect",
        ),
        ("upsample.0",),
        2,
        heavy=True,
    ),
    Row("DCTLSA", lambda: DCTLSA(nf=10, upscale=2), ("upsampler.0",), 2, middle=GREY, apart=4, heavy=True),
    Row("DITN", lambda: DITN(dim=8, ITL_blocks=1, SAL_blocks=1, upscale=2), ("upsample.0",), 2, middle=GREY),
    Row(
        "DRCT",
        lambda: DRCT(
            img_size=16,
            embed_dim=12,
            depths=(6,),
            num_heads=(2,),
            window_size=8,
            upscale=2,
            upsampler="pixelshuffle",
            gc=4,
        ),
        ("conv_last",),
        2,
        heavy=True,
    ),
    Row("DRUNet", lambda: DRUNet(in_nc=4, out_nc=3, nc=[4, 4, 8, 8], nb=2), ("m_tail",), middle=GREY),
    Row("DnCNN", lambda: DnCNN(in_nc=3, out_nc=3, nc=8, nb=8, act_mode="R"), ("model.14",)),
    Row("DnCNN", lambda: DnCNN(nc=8, nb=6, act_mode="BR"), ("model.14",), 1, 1, variant="grey"),
    Row(
        "DnCNN",
        lambda: DnCNN(in_nc=4, out_nc=3, nc=8, nb=8, act_mode="R", mode="FDnCNN"),
        ("model.14",),
        variant="FDnCNN",
        middle=GREY,
    ),
    Row("ESRGAN", lambda: ESRGAN(num_filters=8, num_blocks=1, scale=4), ("model.10",), 4, middle=GREY),
    Row(
        "ESRGAN",
        lambda: ESRGAN(in_nc=12, num_filters=8, num_blocks=1, scale=4, shuffle_factor=2),
        ("model.10",),
        2,
        variant="x2plus",
        middle=GREY,
    ),
    Row("FBCNN", lambda: FBCNN(nc=[4, 4, 8, 512], nb=2), ("m_tail",), middle=GREY, heavy=True),
    Row(
        "FDAT",
        lambda: FDAT(
            scale=2, embed_dim=16, num_groups=1, depth_per_group=1, num_heads=2, upsampler_type="pixelshuffledirect"
        ),
        ("upsampler.0",),
        2,
        middle=GREY,
        apart=8,  # attention between channels, over the whole tile
    ),
    Row(
        "FDAT",
        lambda: FDAT(
            scale=2,
            embed_dim=16,
            num_groups=1,
            depth_per_group=1,
            num_heads=2,
            upsampler_type="pixelshuffledirect",
            unshuffle_mod=True,
        ),
        ("upsampler.0",),
        2,
        variant="unshuffle",
        middle=GREY,
        apart=4,
    ),
    Row(
        "FFTformer",
        lambda: FFTformer(dim=4, num_blocks=[1, 1, 1], num_refinement_blocks=1, ffn_expansion_factor=2),
        ("output",),
    ),
    Row(
        "GRL",
        lambda: GRL(
            embed_dim=8,
            depths=[2],
            num_heads_window=[2],
            num_heads_stripe=[2],
            mlp_ratio=1,
            anchor_window_down_factor=4,
        ),
        ("conv_last",),
    ),
    Row(
        "GRL",
        lambda: GRL(
            embed_dim=8,
            upscale=2,
            upsampler="pixelshuffledirect",
            depths=[2],
            num_heads_window=[2],
            num_heads_stripe=[2],
            window_size=32,
            stripe_size=[64, 64],
            mlp_ratio=1,
            anchor_window_down_factor=4,
        ),
        ("upsample.up.0",),
        2,
        variant="x2",
        slow="attention in stripes of 64 pixels",
    ),
    Row(
        "HAT",
        lambda: HAT(
            embed_dim=12,
            depths=(2,),
            num_heads=(2,),
            window_size=16,
            squeeze_factor=4,
            upscale=2,
            mlp_ratio=2,
            num_feat=8,
        ),
        ("conv_last",),
        2,
        heavy=True,
    ),
    Row("HVICIDNet", lambda: HVICIDNet(channels=[4, 4, 8, 8], heads=[1, 1, 2, 2]), ("ID_block0.1",), apart=16),
    Row(
        "IPT",
        lambda: IPT(patch_size=24, patch_dim=3, n_feats=4, scale=[2], num_layers=1),
        ("tail.0.1",),
        2,
        levels=255,
        heavy=True,
    ),
    Row(
        "KBNet",
        lambda: KBNet_s(width=4, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]),
        ("ending",),
        variant="s",
    ),
    Row(
        "KBNet",
        lambda: KBNet_l(
            dim=12,
            ffn_expansion_factor=2,
            num_blocks=[1, 1, 1, 1],
            num_refinement_blocks=1,
            heads=[1, 1, 2, 2],
        ),
        ("output",),
        variant="l",
        apart=16,  # attention between channels, over the whole tile
        slow="its attention takes long to measure",
    ),
    Row(
        "MMRealSR",
        lambda: MMRealSR(
            num_in_ch=3,
            num_out_ch=3,
            num_feat=8,
            num_block=1,
            num_grow_ch=4,
            num_feats=[4, 4, 4, 4],
            num_blocks=[1, 1, 1, 1],
        ),
        ("conv_last",),
        4,
        middle=GREY,
    ),
    Row(
        "MixDehazeNet",
        lambda: MixDehazeNet(embed_dims=[8, 16, 32, 16, 8], depths=[1, 1, 1, 1, 1]),
        ("patch_unembed.proj.0",),
    ),
    Row("MoESR", lambda: MoESR(scale=2, dim=8, n_blocks=1, n_block=1), ("upscale.0",), 2, middle=GREY),
    Row("MoSR", lambda: MoSR(upscale=2, n_block=2, dim=8), ("upsampler.0",), 2, middle=GREY),
    Row(
        "MoSR",
        lambda: MoSR(upscale=2, n_block=2, dim=8, upsampler="dys"),
        ("upsampler.end_conv",),
        2,
        variant="dysample",
        middle=GREY,
        uses_grid_sample=True,
    ),
    Row("NAFNet", lambda: NAFNet(width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]), ("ending",)),
    Row("OmniSR", lambda: OmniSR(num_feat=16, up_scale=2), ("up.0",), 2, middle=GREY, apart=6, heavy=True),
    Row("PLKSR", lambda: PLKSR(dim=16, n_blocks=2, upscaling_factor=2, kernel_size=9), ("feats.3",), 2),
    Row(
        "PLKSR",
        lambda: RealPLKSR(dim=16, n_blocks=2, upscaling_factor=2, kernel_size=9),
        ("feats.4",),
        2,
        variant="real",
    ),
    Row(
        "PLKSR",
        lambda: RealPLKSR(dim=16, n_blocks=2, upscaling_factor=2, kernel_size=9, dysample=True, layer_norm=True),
        ("to_img.end_conv",),
        2,
        variant="real-dysample",
        middle=GREY,
        uses_grid_sample=True,
    ),
    Row(
        "RCAN",
        lambda: RCAN(scale=2, n_resgroups=1, n_resblocks=1, n_feats=8, reduction=4),
        ("tail.1",),
        2,
        levels=255,
        apart=2,  # weighs channels by their means over the whole tile
    ),
    Row(
        "RCAN",
        lambda: RCAN(scale=2, n_resgroups=1, n_resblocks=1, n_feats=8, reduction=4, norm=False, unshuffle_mod=True),
        ("tail.1",),
        2,
        variant="unshuffle",
        middle=GREY,
    ),
    Row(
        "RGT",
        lambda: RGT(embed_dim=32, depth=[2], num_heads=[2], mlp_ratio=2, split_size=[8, 32]),
        ("conv_last",),
        2,
        apart=2,
        heavy=True,
    ),
    Row(
        "RealCUGAN",
        UpCunet2x,
        ("unet1.conv_bottom", "unet2.conv_bottom"),
        2,
        variant="2x",
        middle=GREY,
        slow="its features are many and their number is fixed",
    ),
    Row(
        "RealCUGAN",
        UpCunet3x,
        ("unet1.conv_bottom", "unet2.conv_bottom"),
        3,
        variant="3x",
        middle=GREY,
        slow="its features are many and their number is fixed",
    ),
    Row(
        "RealCUGAN", UpCunet4x, ("conv_final",), 4, variant="4x", slow="its features are many and their number is fixed"
    ),
    Row("RealCUGAN", UpCunet2x_fast, ("conv_final",), 2, variant="fast", heavy=True),
    Row("RetinexFormer", lambda: RetinexFormer(n_feat=8, stage=1), ("body.0.denoiser.mapping",)),
    Row("SAFMN", lambda: SAFMN(dim=8, n_blocks=2, upscaling_factor=2), ("to_img.0",), 2, middle=GREY),
    Row("SAFMNBCIE", lambda: SAFMNBCIE(dim=8, n_blocks=1, num_layers=2), ("to_img.2",), middle=GREY),
    Row("SCUNet", lambda: SCUNet(config=[1, 1, 1, 1, 1, 1, 1]), ("m_tail.0",), middle=GREY, heavy=True),
    Row(
        "SPAN", lambda: SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2), ("upsampler.0",), 2, middle=GREY
    ),
    Row("SeemoRe", lambda: SeemoRe(scale=2, num_experts=3, num_layers=2, embedding_dim=16), ("upsampler.0",), 2),
    Row("SwiftSRGAN", lambda: SwiftSRGAN(num_channels=8, num_blocks=2, upscale_factor=2), ("final_conv.pointwise",), 2),
    Row(
        "Swin2SR",
        lambda: Swin2SR(
            img_size=16,
            embed_dim=12,
            depths=[2],
            num_heads=[2],
            window_size=8,
            upscale=2,
            upsampler="pixelshuffledirect",
        ),
        ("upsample.0",),
        2,
    ),
    Row(
        "SwinIR",
        lambda: SwinIR(
            img_size=16,
            embed_dim=12,
            depths=[2],
            num_heads=[2],
            window_size=8,
            upscale=2,
            upsampler="pixelshuffledirect",
        ),
        ("upsample.0",),
        2,
    ),
    Row(
        "SwinIR",
        lambda: SwinIR(img_size=14, embed_dim=12, depths=[2], num_heads=[2], window_size=7),
        ("conv_last",),
        variant="jpeg",
        levels=255,
    ),
    Row(
        "Uformer",
        lambda: Uformer(embed_dim=4, depths=[1] * 9, num_heads=[1] * 9, mlp_ratio=1),
        ("output_proj.proj.0",),
        apart=2,
        heavy=True,
    ),
)
"""All but those of REFUSED."""

REFUSED: dict[str, tuple[Callable[[], torch.nn.Module], str]] = {
    "GFPGAN": (GFPGAN, "cropped faces"),
    "RestoreFormer": (
        lambda: RestoreFormer(
            n_embed=8, embed_dim=32, ch=32, ch_mult=(1, 1, 1, 1, 1, 1), num_res_blocks=1, z_channels=32
        ),
        "cropped faces",
    ),
    "LaMa": (lambda: LaMa(in_nc=4), "masked holes"),
}
"""Architectures that enlarge no pictures, and what the sentence says that refuses them."""
