"""Prompts with weights, and of any length where a model's encoders are CLIP's."""

from typing import Any

import pytest
import torch

from tests.diffusion import tiny as base
from tests.text2image import tiny
from upscaler import PlanError
from upscaler.diffusion.prompts import WeightedText, split_weights, text_arguments

LONG = "a lighthouse at dusk, " * 10
"""190 tokens of one byte each."""


def arguments(pipeline: Any, prompt: str, negative: str = "") -> dict[str, Any]:
    with torch.inference_mode():
        return text_arguments(pipeline, "tiny", prompt, negative)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red boat", [WeightedText("a red boat")]),
        ("a (red:1.3) boat", [WeightedText("a "), WeightedText("red", 1.3), WeightedText(" boat")]),
        ("(red:.5)(blue:2)", [WeightedText("red", 0.5), WeightedText("blue", 2.0)]),
        ("a film (1920) of (16:9)", [WeightedText("a film (1920) of (16:9)")]),
        ("", [WeightedText("")]),
    ],
)
def test_parts_are_told_by_their_weights(prompt: str, expected: list[WeightedText]) -> None:
    assert split_weights(prompt) == expected


@pytest.mark.parametrize("negative", ["", "people"])
@pytest.mark.parametrize("build", [base.build_sd, base.build_sdxl])
def test_short_prompts_are_what_the_pipeline_makes_of_them(build: Any, negative: str) -> None:
    pipeline = build()
    own = arguments(pipeline, "a red boat", negative)
    call = pipeline(
        "a red boat",
        negative_prompt=negative or None,
        width=64,
        height=64,
        num_inference_steps=1,
        output_type="latent",
        generator=torch.Generator().manual_seed(0),
    )
    ours = pipeline(
        **own,
        width=64,
        height=64,
        num_inference_steps=1,
        output_type="latent",
        generator=torch.Generator().manual_seed(0),
    )
    assert torch.equal(call.images, ours.images)


@pytest.mark.parametrize(("build", "pooled"), [(base.build_sd, False), (base.build_sdxl, True)])
def test_words_beyond_77_tokens_count(build: Any, pooled: bool) -> None:
    pipeline = build()
    one, other = (arguments(pipeline, LONG + last, "people") for last in ("in summer", "in winter"))
    embeds = one["prompt_embeds"]
    assert embeds.shape[1] == 77 * 3
    assert one["negative_prompt_embeds"].shape == embeds.shape
    assert ("pooled_prompt_embeds" in one) == pooled
    assert torch.equal(embeds[:, :154], other["prompt_embeds"][:, :154])
    assert not torch.equal(embeds, other["prompt_embeds"])


@pytest.mark.parametrize("build", [base.build_sd, base.build_sdxl])
def test_weights_change_their_words_and_keep_the_norm(build: Any) -> None:
    pipeline = build()
    plain, weighted, same = (
        arguments(pipeline, text)["prompt_embeds"][0, :, : base.HIDDEN]  # of the first encoder
        for text in ("a red boat", "a (red:1.5) boat", "a (red:1) boat")
    )
    assert torch.equal(plain, same)
    factor = weighted.flatten()[0] / plain.flatten()[0]
    assert 2 / 3 < factor < 1
    red = slice(2, 5)  # one token a byte, after the beginning and the a
    assert torch.allclose(weighted[red], 1.5 * factor * plain[red], rtol=1e-4)
    assert torch.allclose(weighted[5:], factor * plain[5:], rtol=1e-4)


def test_weights_are_taken_out_for_models_that_know_none(caplog: pytest.LogCaptureFixture) -> None:
    assert arguments(tiny.build_z_image(), "a (red:1.3) boat")["prompt"] == "a red boat"
    assert "tiny: this model knows no weights of words" in caplog.text


@pytest.mark.parametrize("build", [tiny.build_z_image, tiny.build_klein])
def test_prompt_that_would_be_cut_is_refused_with_what_would_be_lost(build: Any) -> None:
    pipeline = build()
    assert arguments(pipeline, "x" * 460)["prompt"] == "x" * 460
    with pytest.raises(PlanError, match=r"the prompt has 6\d\d tokens, tiny sees \d+, and .* lost: y{1,60}…. Shorten"):
        arguments(pipeline, "x" * 480 + "y" * 137 + " the end")


def test_limit_is_that_of_the_longest_sighted_encoder() -> None:
    pipeline = base.build_sd3()
    assert arguments(pipeline, "word " * 100, "no")["negative_prompt"] == "no"
    with pytest.raises(PlanError, match="tiny sees 255, and this would be lost"):
        arguments(pipeline, "word " * 300)
    with pytest.raises(PlanError, match="the negative prompt has"):
        arguments(pipeline, "word", "word " * 300)
