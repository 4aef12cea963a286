"""Generation parameters: their limits, their form as JSON."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from upscaler import Lora, Picture, PlanError, Size
from upscaler.text2image.parameters import GenerationParameters


def test_parameters_come_back_from_json_as_they_were() -> None:
    parameters = GenerationParameters(
        "ein Leuchtturm, “dusk”",
        negative="people",
        style="oil on canvas",
        size=Size(640, 384),
        steps=12,
        guidance=4.5,
        seed=2**40,
        image="photo.jpg",
        strength=0.3,
        loras=(Lora("a.safetensors", 0.7), Lora("b.safetensors")),
    )
    default = GenerationParameters("x")
    left = [
        field.name for field in fields(parameters) if getattr(parameters, field.name) == getattr(default, field.name)
    ]
    assert left == ["aspect"]
    assert GenerationParameters.from_dict(json.loads(json.dumps(parameters.asdict()))) == parameters


def test_picture_to_begin_with_is_written_as_its_name() -> None:
    picture = Picture(np.zeros((4, 4, 3), np.uint8), name="photo.jpg")
    assert GenerationParameters("a cat", image=picture).asdict()["image"] == "photo.jpg"
    assert GenerationParameters("a cat", image=Path("photo.jpg")).asdict()["image"] == "photo.jpg"


def test_parameters_of_an_older_version_need_only_their_prompt() -> None:
    assert GenerationParameters.from_dict({"prompt": "a cat"}) == GenerationParameters("a cat")


@pytest.mark.parametrize("values", [{}, {"prompt": "a", "mood": 3}, {"prompt": "a", "size": [1]}, {"prompt": 3}])
def test_other_values_than_parameters_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match=r"the generation parameters cannot be read \("):
        GenerationParameters.from_dict(values)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt": "  "}, "the prompt is empty. Say what"),
        ({"size": Size(64, 64), "aspect": "1:1"}, "`size` and `aspect` exclude each other. Choose one"),
        ({"size": Size(0, 64)}, "size=0x64: each side must be at least 1"),
        ({"aspect": "16x9"}, "aspect=16x9: .* Write 16:9"),
        ({"aspect": "9:1"}, "aspect=9:1: these are not proportions of at most 8 to 1"),
        ({"aspect": "1:0"}, "aspect=1:0: "),
        ({"steps": 0}, "steps=0: the value must be between 1 and 1000"),
        ({"guidance": -1.0}, "guidance=-1: the value must be between 0 and 100"),
        ({"seed": -1}, "seed=-1: the value must be between 0 and"),
        ({"strength": 0.0}, "strength=0: the value must be between 0.01 and 1"),
        ({"style": "water color"}, "style=water color: no style has this name. Did you mean watercolour?"),
        ({"style": "xyz"}, "style=xyz: .* Choose watercolour, "),
        ({"prompt": "a \udcff"}, "prompt: the text is not Unicode"),
        ({"negative": "a \ud800"}, "negative: the text is not Unicode"),
    ],
)
def test_parameters_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        GenerationParameters(**{"prompt": "a cat", **options})


def test_picture_to_begin_with_needs_no_prompt() -> None:
    assert GenerationParameters("", image="photo.jpg").text == ""


def test_style_frames_the_prompt_and_adds_what_it_does_without() -> None:
    parameters = GenerationParameters("a {braced} cat", negative="dogs", style="Oil_On-Canvas")
    assert parameters.text.startswith("a {braced} cat, oil on canvas")
    assert parameters.negative_text.startswith("dogs, photograph")
    assert (GenerationParameters("a cat").text, GenerationParameters("a cat").negative_text) == ("a cat", "")


def test_parameters_load_no_torch() -> None:
    code = "import sys, upscaler.text2image.parameters; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
