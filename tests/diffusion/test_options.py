"""What a user may ask of a diffusion model: its limits, and LoRAs as they are written."""

from typing import Any

import pytest

from upscaler import Diffusion, Lora, PlanError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"creativity": 1.5}, "creativity=1.5: the value must be between 0 and 1"),
        ({"steps": 0}, "steps=0: the value must be between 1 and 1000"),
        ({"guidance": -1}, "guidance=-1: the value must be between 0 and 100"),
        ({"seed": -1}, "seed=-1: the value must be between 0 and"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        Diffusion(**options)


@pytest.mark.parametrize(
    ("text", "lora"),
    [
        ("a.safetensors", Lora("a.safetensors")),
        ("a.safetensors:0.5", Lora("a.safetensors", 0.5)),
        ("a.safetensors:-1", Lora("a.safetensors", -1.0)),
        ("C:\\loras\\a.safetensors", Lora("C:\\loras\\a.safetensors")),
        ("C:\\loras\\a.safetensors:.5", Lora("C:\\loras\\a.safetensors", 0.5)),
    ],
)
def test_lora_is_a_file_with_or_without_a_weight(text: str, lora: Lora) -> None:
    assert Lora.parse(text) == lora


def test_lora_too_strong_is_refused() -> None:
    with pytest.raises(PlanError, match="loras=a:40: the weight must be between -4 and 4"):
        Lora.parse("a:40")
