"""The table of pipeline classes: every row is about classes that exist."""

import diffusers
import pytest

from tests.diffusion import tiny
from upscaler.diffusion.pipelines import FAMILIES, traits


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_are_about_classes_of_diffusers(name: str) -> None:
    assert isinstance(getattr(diffusers, f"{name}Pipeline"), type)


def test_a_pipeline_has_the_row_of_its_family_or_that_of_stable_diffusion() -> None:
    assert (traits(tiny.build_x4()).scale, traits(tiny.build_x4()).source) == (4, "pixels")
    assert (traits(tiny.build_x2()).scale, traits(tiny.build_x2()).source) == (2, "latents")
    assert traits(tiny.build_sdxl()).pooled == "text_embeds"
    assert traits(tiny.build_sd()).pooled is None
    assert (traits(tiny.build_flux()).scale, traits(tiny.build_flux()).unguided) == (1, 1.0)
