"""LoRA files: mixed in, taken out again, and refused in a sentence."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.diffusion import tiny as base
from tests.text2image.conftest import Saved
from upscaler import Lora, ModelError, Size
from upscaler.text2image.parameters import GenerationParameters
from upscaler.text2image.text_to_image import TextToImage

PARAMETERS = GenerationParameters("a cat", size=Size(64, 64), steps=2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Random changes to the attention of a UNet."""
    torch.manual_seed(0)
    weights = {}
    for name, layer in base.build_sd().unet.named_modules():
        if name.endswith(("to_q", "to_v")):
            weights[f"unet.{name}.lora_A.weight"] = torch.randn(2, layer.in_features)
            weights[f"unet.{name}.lora_B.weight"] = torch.randn(layer.out_features, 2)
    save_file(weights, tmp_path / "style.safetensors")
    return tmp_path / "style.safetensors"


def test_loras_change_pictures_by_their_weight_and_only_while_asked_for(saved: Saved, file: Path) -> None:
    pytest.importorskip("peft")
    generator = TextToImage(str(saved("sd")), device="cpu", precision="fp32")
    plain = generator(PARAMETERS).pixels.astype(int)
    half, full = (generator(PARAMETERS, loras=(Lora(str(file), weight),)).pixels for weight in (0.5, 1.0))
    assert 0 < np.abs(half - plain).mean() < np.abs(full - plain).mean()
    assert np.array_equal(generator(PARAMETERS).pixels, plain)
    with pytest.raises(ModelError, match="there is no such file"):
        generator(PARAMETERS, loras=(Lora(str(file)), Lora("none.safetensors")))
    assert np.array_equal(generator(PARAMETERS).pixels, plain)
    assert np.array_equal(generator(PARAMETERS, loras=(Lora(str(file)),)).pixels, full)


def test_lora_of_another_model_is_refused(saved: Saved, file: Path) -> None:
    pytest.importorskip("peft")
    with pytest.raises(ModelError, match=r"style.safetensors: the LoRA cannot be used with sdxl \(.+\). Use one made"):
        TextToImage(str(saved("sdxl")), device="cpu", precision="fp32")(PARAMETERS, loras=(Lora(str(file)),))


def test_lora_that_is_a_pickle_is_refused(saved: Saved, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    (tmp_path / "style.pt").write_bytes(b"")
    with pytest.raises(ModelError, match=r"style.pt: the LoRA is not safetensors, and other files can hide programs"):
        TextToImage(str(saved("sd")), device="cpu")(PARAMETERS, loras=(Lora(str(tmp_path / "style.pt")),))


def test_without_peft_a_lora_says_what_is_missing(saved: Saved, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = TextToImage(str(saved("sd")), device="cpu")
    generator.complete(PARAMETERS)  # diffusers looks for peft as well
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"style.safetensors: a LoRA needs peft, .* Run pip install peft."):
        generator(PARAMETERS, loras=(Lora(str(file)),))
