"""The table of denoisers: one row makes windows of a class that it does not have. `test_denoiser` tests its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    ChromaPipeline,
    ChromaTransformer2DModel,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
)
from transformers import T5Tokenizer

from upscaler import Diffusion, ModelError, Picture, Upscaler
from upscaler.diffusion.denoiser import tile_denoiser
from upscaler.diffusion.families import FAMILIES, Arguments, Family, Tokens

from . import tiny
from .cases import Case

pytestmark = pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated:FutureWarning")  # Chroma uses it


def build_auraflow() -> DiffusionPipeline:
    torch.manual_seed(0)
    transformer = AuraFlowTransformer2DModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=tiny.HIDDEN,
        caption_projection_dim=32,
        pos_embed_max_size=1024,
    )
    tiny.give_effect(transformer)
    return tiny.quiet(AuraFlowPipeline(None, None, tiny.kl(), transformer, FlowMatchEulerDiscreteScheduler()))


def build_chroma() -> DiffusionPipeline:
    torch.manual_seed(0)
    tokenizer = T5Tokenizer()
    transformer = ChromaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=tiny.T5_HIDDEN,
        axes_dims_rope=(4, 6, 6),
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
    )
    tiny.give_effect(transformer)
    return tiny.quiet(
        ChromaPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=tiny.kl(scaling_factor=0.3611, shift_factor=0.1159, quantised=False),
            text_encoder=tiny.t5_encoder(tokenizer),
            tokenizer=tokenizer,
            transformer=transformer,
        )
    )


@dataclass(frozen=True, slots=True)
class MaskedTokens(Tokens):
    """Tokens with a mask of texts and canvas together."""

    def replace_canvas(self, arguments: Arguments, windows: torch.Tensor, times: int) -> Arguments:
        smaller_by = arguments[self.name].shape[1] - windows.shape[-2] * windows.shape[-1]
        call = Tokens.replace_canvas(self, arguments, windows, times)
        return call | {"attention_mask": call["attention_mask"][:, :-smaller_by]}


def _sized(width: int, height: int) -> dict[str, Any]:
    return {"width": 8 * width, "height": 8 * height, "guidance_scale": 2.0}


def _auraflow(width: int, height: int) -> dict[str, Any]:
    embeds = torch.randn(2, 1, 7, tiny.HIDDEN, generator=torch.Generator().manual_seed(3))
    texts = {"prompt_embeds": embeds[0], "negative_prompt_embeds": embeds[1]}
    masks = {f"{name}prompt_attention_mask": torch.ones(1, 7) for name in ("", "negative_")}
    return _sized(width, height) | texts | masks


def _chroma(width: int, height: int) -> dict[str, Any]:
    return _sized(width, height) | {"prompt": "a", "negative_prompt": "bc"}


@pytest.mark.parametrize(
    ("build", "arguments", "name", "row"),
    [
        (build_auraflow, _auraflow, "AuraFlowTransformer2DModel", Family()),
        (build_chroma, _chroma, "ChromaTransformer2DModel", MaskedTokens()),
    ],
)
def test_one_row_adds_a_kind_of_denoiser(
    build: Callable[[], DiffusionPipeline],
    arguments: Callable[[int, int], dict[str, Any]],
    name: str,
    row: Family,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case(build, arguments)
    pipeline = build()
    with pytest.raises(ModelError, match=f"^{name}: this kind of denoiser cannot be computed in windows"):
        tile_denoiser(pipeline, tile=24, overlap=8, batch=1).__enter__()
    monkeypatch.setitem(FAMILIES, name, row)
    whole = case.latents(pipeline, 40, 32)
    results = []
    for tile, batch in ((40, 1), (24, 1), (24, 8)):
        with tile_denoiser(pipeline, tile=tile, overlap=8, batch=batch):
            results.append(case.latents(pipeline, 40, 32))
    assert torch.equal(results[0], whole)
    assert (results[1] - results[2]).abs().max() < 1e-4
    assert not torch.allclose(results[1], whole, atol=1e-3)


def test_a_model_of_an_added_kind_enlarges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_chroma().save_pretrained(tmp_path / "chroma")
    monkeypatch.setitem(FAMILIES, "ChromaTransformer2DModel", MaskedTokens())
    source = Picture(np.random.default_rng(0).integers(0, 255, (24, 40, 3), np.uint8))
    upscaler = Upscaler(str(tmp_path / "chroma"), device="cpu", tile=64, diffusion=Diffusion("a cat", steps=4))
    assert upscaler.estimate(source, 2).plans[-1].windows > 1
    assert upscaler(source, 2).size == source.size.scaled(2)
