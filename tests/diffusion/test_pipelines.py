"""The table of pipeline classes: every row is about classes that exist."""

from pathlib import Path

import diffusers
import numpy as np
import pytest

from tests.diffusion import tiny
from tests.text2image.tiny import build_krea2
from upscaler import Diffusion, Picture, Size, Upscaler, catalog
from upscaler.catalog import diffusers_layout
from upscaler.diffusion.pipelines import TRAITS, Traits, traits
from upscaler.text2image.parameters import GenerationParameters
from upscaler.text2image.text_to_image import TextToImage


@pytest.mark.parametrize("name", TRAITS)
def test_rows_are_about_classes_of_diffusers(name: str) -> None:
    assert isinstance(getattr(diffusers, f"{name}Pipeline"), type)


def test_a_pipeline_has_the_row_of_its_family_or_that_of_stable_diffusion() -> None:
    assert (traits(tiny.build_x4()).scale, traits(tiny.build_x4()).source) == (4, "pixels")
    assert (traits(tiny.build_x2()).scale, traits(tiny.build_x2()).source) == (2, "latents")
    assert traits(tiny.build_sdxl()).pooled == "text_embeds"
    assert traits(tiny.build_sd()).pooled is None
    assert (traits(tiny.build_flux()).scale, traits(tiny.build_flux()).unguided) == (1, 1.0)


def test_one_row_adds_a_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Krea 2 heeds the negative prompt at a guidance at which Stable Diffusion does not."""
    build_krea2().save_pretrained(tmp_path / "krea")

    def draw(negative: str) -> Picture:
        parameters = GenerationParameters("a cat", negative=negative, size=Size(64, 64), steps=1, guidance=0.5)
        return TextToImage(str(tmp_path / "krea"), device="cpu")(parameters)

    plain = draw("")
    assert np.array_equal(draw("people").pixels, plain.pixels)
    monkeypatch.setitem(TRAITS, "Krea2", Traits(unguided=0.0))
    assert np.array_equal(draw("").pixels, plain.pixels)
    assert not np.array_equal(draw("people").pixels, plain.pixels)


def test_two_rows_add_a_family_that_enlarges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class SharpUpscalePipeline(diffusers.StableDiffusionUpscalePipeline):
        pass

    monkeypatch.setattr(diffusers, "SharpUpscalePipeline", SharpUpscalePipeline, raising=False)
    SharpUpscalePipeline(**tiny.build_x4().components, max_noise_level=350).save_pretrained(tmp_path / "sharp")
    source = Picture(np.zeros((24, 40, 3), np.uint8))
    assert catalog.find(str(tmp_path / "sharp")).kind == "generator"
    monkeypatch.setattr(diffusers_layout, "UPSCALERS", (*diffusers_layout.UPSCALERS, "SharpUpscalePipeline"))
    monkeypatch.setitem(TRAITS, "SharpUpscale", Traits(scale=4, source="pixels", multiple=8))
    upscaler = Upscaler(str(tmp_path / "sharp"), device="cpu", diffusion=Diffusion(steps=1))
    assert upscaler(source).size == source.size.scaled(4)
