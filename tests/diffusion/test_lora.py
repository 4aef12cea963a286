"""LoRA files: mixed in, taken out again, and refused in a sentence."""

import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

from tests.diffusion import tiny as base
from tests.fake_gpu import pretend
from tests.text2image.conftest import Saved
from upscaler import Lora, ModelError, Size
from upscaler.diffusion.memory import OFFLOADS, Offload
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


@pytest.fixture
def _detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets diffusers, which asks once in a process, find CUDA; it asks when it has added a LoRA."""
    detect = "diffusers.utils.torch_utils.TorchDeviceBackend._detect_device_type"
    monkeypatch.setattr(detect, staticmethod(lambda: "cuda"))


@pytest.mark.usefixtures("_detected")
@pytest.mark.parametrize("offload", OFFLOADS)
def test_loras_are_added_and_taken_out_on_a_gpu(saved: Saved, file: Path, offload: Offload) -> None:
    pytest.importorskip("peft")
    expected = [TextToImage(str(saved("sd")), device="cpu", precision="fp32")(PARAMETERS, loras=loras).pixels
                for loras in ((), (Lora(str(file)),))]  # fmt: skip
    with pretend(tf32=False), TextToImage(str(saved("sd")), precision="fp32") as generator:
        generator._runner._least_offload = offload
        for index in (1, 0, 1):
            result = generator(PARAMETERS, loras=(Lora(str(file)),) * index).pixels
            assert np.abs(result.astype(int) - expected[index]).max() <= 1
        assert generator._runner.placement.offload == offload


@pytest.mark.usefixtures("_detected")
def test_a_lora_without_room_moves_more_of_the_model_off_the_device(
    saved: Saved, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("peft")
    expected = TextToImage(str(saved("sd")), device="cpu", precision="fp32")(PARAMETERS, loras=(Lora(str(file)),))
    own = StableDiffusionPipeline.load_lora_weights
    with pretend(tf32=False) as gpu, TextToImage(str(saved("sd")), precision="fp32") as generator:

        def refuse(*args: Any, **kwargs: Any) -> None:
            own(*args, **kwargs)
            if generator._runner.placement.offload == "none":
                raise gpu.out_of_memory(2**20)

        with patch.object(StableDiffusionPipeline, "load_lora_weights", refuse):
            result = generator(PARAMETERS, loras=(Lora(str(file)),))
    assert np.abs(result.pixels.astype(int) - expected.pixels).max() <= 1
    assert "going on with less of sd there" in caplog.text


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
