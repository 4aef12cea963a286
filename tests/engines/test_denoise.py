"""Cleaning before enlarging: as much as is asked for, or as the picture needs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pictures import sample
from upscaler import PlanError, Upscaler
from upscaler.catalog import find
from upscaler.engines import EngineOptions, EnginePool
from upscaler.pipeline import Pipeline, PipelineOptions

CLEAN = np.uint8(np.rint(255 * sample("coffee.jpg")[:96:2, :128:2]))
NOISY = np.uint8(np.clip(CLEAN + np.random.default_rng(0).normal(0, 15, CLEAN.shape), 0, 255))


def enlarged(pixels: object, **options: object) -> np.ndarray:
    return Upscaler("photo-fast", device="cpu", precision="fp32", **options)(pixels).pixels  # type: ignore[arg-type]


def test_a_clean_picture_is_left_to_the_byte() -> None:
    np.testing.assert_array_equal(enlarged(CLEAN, denoise="auto"), enlarged(CLEAN, denoise=0))


def test_noise_is_removed_in_proportion() -> None:
    truth = enlarged(CLEAN, denoise=0).astype(float)
    errors = [np.abs(enlarged(NOISY, denoise=share) - truth).mean() for share in (0, 0.5, 1)]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.6 * errors[0]
    assert np.abs(enlarged(NOISY, denoise="auto") - truth).mean() < 0.7 * errors[0]


def test_the_estimate_says_what_was_measured() -> None:
    pipeline = Pipeline("photo-fast", PipelineOptions(device="cpu", denoise="auto"))
    noisy, clean = pipeline.estimate(NOISY), pipeline.estimate(CLEAN)
    assert noisy.wear is not None
    assert noisy.denoise == noisy.wear.strength > 0
    assert (clean.denoise, clean.engine.name) == (0, "photo-fast")
    assert noisy.engine.name == "clean, photo-fast"


def test_clean_by_itself_keeps_the_size_and_takes_noise_out() -> None:
    cleaned = Upscaler("clean", device="cpu")(NOISY).pixels
    assert cleaned.shape == CLEAN.shape
    assert np.abs(cleaned.astype(float) - CLEAN).mean() < 0.7 * np.abs(NOISY.astype(float) - CLEAN).mean()


def test_what_cleans_is_among_the_files_that_are_needed() -> None:
    def names(denoise: object) -> list[str]:
        return [model.name for model in EnginePool(find("photo"), EngineOptions(denoise=denoise)).models]  # type: ignore[arg-type]

    assert names("auto") == names(0.5) == ["photo", "clean"]
    assert names(0.0) == ["photo"]


def test_diffusion_models_are_not_told() -> None:
    with pytest.raises(PlanError, match=r"denoise=0\.5: sd-x4 is a diffusion model"):
        Upscaler("sd-x4", denoise=0.5)
